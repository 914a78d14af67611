#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nomul.h"

/* System calls on the device, opened with O_SYNC: then the module keeps the processor's caches out
 * of the way. They may move less than they are asked for. */
static int write_bytes(void *context, uint64_t offset, const void *content, size_t bytes)
{
    const char *from = content;
    while (bytes) {
        const ssize_t done = pwrite((int)(intptr_t)context, from, bytes, (off_t)offset);
        if (done <= 0) return 1;
        from += done;
        offset += (uint64_t)done;
        bytes -= (size_t)done;
    }
    return 0;
}

static int read_bytes(void *context, uint64_t offset, void *content, size_t bytes)
{
    char *to = content;
    while (bytes) {
        const ssize_t done = pread((int)(intptr_t)context, to, bytes, (off_t)offset);
        if (done <= 0) return 1;
        to += done;
        offset += (uint64_t)done;
        bytes -= (size_t)done;
    }
    return 0;
}

/* A number in a file of the folder, in C's notation; 0 where there is none. */
static uint64_t number_in(const char *folder, const char *name)
{
    char text[256];
    const int length = snprintf(text, sizeof text, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof text) return 0;
    FILE *file = fopen(text, "r");
    if (!file) return 0;
    const size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[count] = 0;
    return strtoull(text, NULL, 0);
}

nomul_status nomul_open_udmabuf(nomul_memory *memory, const char *folder, const char *device)
{
    memory->base = number_in(folder, "phys_addr");
    memory->size = number_in(folder, "size");
    const int file = memory->size ? open(device, O_RDWR | O_SYNC) : -1;
    if (file < 0) return NOMUL_NO_MEMORY;
    memory->context = (void *)(intptr_t)file;
    memory->write = write_bytes;
    memory->read = read_bytes;
    return NOMUL_OK;
}
