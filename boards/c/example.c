/* Runs the self-test of a package:
 *     ./example network.image selftest.codes 0x40000000
 * with the address of the machine's registers. The bitstream is loaded, clock and ports are set
 * before, as by the driver for Python. */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomul.h"

/* Codes of the largest output. */
#define MOST_CODES (1u << 20)

static int32_t found[MOST_CODES];

static const void *file_content(const char *name, size_t *bytes)
{
    struct stat about;
    const int file = open(name, O_RDONLY);
    if (file < 0 || fstat(file, &about) || about.st_size == 0) {
        fprintf(stderr, "%s cannot be read\n", name);
        exit(1);
    }
    *bytes = (size_t)about.st_size;
    void *content = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (content == MAP_FAILED) {
        fprintf(stderr, "%s cannot be mapped\n", name);
        exit(1);
    }
    return content;
}

static void check(nomul_status status)
{
    if (status == NOMUL_OK) return;
    fprintf(stderr, "%s\n", nomul_message(status));
    exit(1);
}

int main(int count, char **arguments)
{
    nomul_image image;
    nomul_machine machine;
    nomul_transport transport;
    nomul_memory memory = {0};
    size_t bytes;
    uint32_t cycles = 0;
    if (count != 4) {
        fprintf(stderr, "usage: %s network.image selftest.codes ADDRESS\n", arguments[0]);
        return 2;
    }
    const void *content = file_content(arguments[1], &bytes);
    check(nomul_read_image(&image, content, bytes));
    check(nomul_open_devmem(&transport, strtoull(arguments[3], NULL, 0)));
    if (nomul_memory_bytes(&image))
        check(nomul_open_udmabuf(&memory, "/sys/class/u-dma-buf/nomul-memory",
                                 "/dev/nomul-memory"));
    check(nomul_open(&machine, &transport, &image, &memory));

    /* The number of images, all inputs, all outputs. */
    const int32_t *test = file_content(arguments[2], &bytes);
    const uint32_t images = (uint32_t)test[0];
    const uint32_t inputs = nomul_count(&image.input), outputs = nomul_count(&image.output);
    if (bytes != 4 * (1 + (size_t)images * (inputs + outputs)) || outputs > MOST_CODES) {
        fprintf(stderr, "%s is not of this network\n", arguments[2]);
        return 1;
    }
    for (uint32_t i = 0; i < images; ++i) {
        check(nomul_run(&machine, test + 1 + (size_t)i * inputs, found, &cycles));
        const int32_t *expected = test + 1 + (size_t)images * inputs + (size_t)i * outputs;
        for (uint32_t k = 0; k < outputs; ++k)
            if (found[k] != expected[k]) {
                fprintf(stderr, "image %u: code %u is %d, not %d\n", i, k, found[k], expected[k]);
                return 1;
            }
    }
    printf("%u images equal the simulator's, %u cycles each\n", images, cycles);
    return 0;
}
