#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "nomul.h"

#define WINDOW ((size_t)1 << 28)

/* Every access is one of 32 bits: device memory takes no others. */
static int write_words(void *context, uint32_t address, const uint32_t *words, uint32_t count)
{
    volatile uint32_t *registers = context;
    for (uint32_t i = 0; i < count; ++i) registers[address + i] = words[i];
    return 0;
}

static int read_words(void *context, uint32_t address, uint32_t *words, uint32_t count)
{
    volatile uint32_t *registers = context;
    for (uint32_t i = 0; i < count; ++i) words[i] = registers[address + i];
    return 0;
}

static void idle(void *context)
{
    const struct timespec pause = {0, 20000};
    (void)context;
    nanosleep(&pause, NULL);
}

nomul_status nomul_open_devmem(nomul_transport *transport, uint64_t base)
{
    const int file = open("/dev/mem", O_RDWR | O_SYNC);
    if (file < 0) return NOMUL_NO_ACCESS;
    void *place = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)base);
    close(file);
    if (place == MAP_FAILED) return NOMUL_NO_ACCESS;
    transport->context = place;
    transport->write = write_words;
    transport->read = read_words;
    transport->idle = idle;
    return NOMUL_OK;
}
