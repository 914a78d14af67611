/* What the driver's files share, and its user need not know: the format of an image. */
#ifndef NOMUL_INTERNAL_H
#define NOMUL_INTERNAL_H

#include "nomul.h"
#include "nomul_registers.h"

#define HEADER_WORDS 12u
#define ENTRY_WORDS 8u
#define LOAD 1u
#define INPUT 2u
#define OUTPUT 3u
#define BUFFER 4u
#define NOTHING 0xffffffffu

/* 32-bit pieces of the widest word that the driver can hold. */
#define MOST_PIECES 128u

/* Buffers in external memory begin at multiples of so many bytes. */
#define PAGE 4096u

/* Little-endian, at any address, on any machine. */
static inline uint32_t word_at(const unsigned char *place, size_t index)
{
    const unsigned char *p = place + 4 * index;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The table's entry: a kind, and seven words more. */
static inline const unsigned char *entry_at(const nomul_image *image, uint32_t index)
{
    return image->content + 4 * (HEADER_WORDS + ENTRY_WORDS * (size_t)index);
}

#endif
