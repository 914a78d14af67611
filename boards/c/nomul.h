/* Driver of a NoMul machine in C99, without a heap.
 *
 *     nomul_image image;
 *     nomul_machine machine;
 *     status = nomul_read_image(&image, content, bytes);
 *     status = nomul_open(&machine, &transport, &image, NULL);
 *     nomul_quantize(&image.input, values, codes);
 *     status = nomul_run(&machine, codes, results, &cycles);
 *     nomul_dequantize(&image.output, results, values);
 *
 * Functions that return a status return NOMUL_OK or what is wrong; nomul_message() has the words.
 */
#ifndef NOMUL_H
#define NOMUL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    NOMUL_OK,
    NOMUL_NO_IMAGE,
    NOMUL_OTHER_FORMAT,
    NOMUL_DAMAGED_IMAGE,
    NOMUL_WIDE_WORDS,
    NOMUL_NO_ACCESS,
    NOMUL_NO_MEMORY,
    NOMUL_NO_REST,
    NOMUL_NO_MACHINE,
    NOMUL_OTHER_MACHINE,
    NOMUL_FAILED,
    NOMUL_STOPPED,
    NOMUL_HUNG
} nomul_status;

/* Access to a machine's registers; addresses count 32-bit words. read and write return 0 where they
 * have done it. idle is called between two looks at a machine that works. */
typedef struct {
    void *context;
    int (*write)(void *context, uint32_t address, const uint32_t *words, uint32_t count);
    int (*read)(void *context, uint32_t address, uint32_t *words, uint32_t count);
    void (*idle)(void *context);
} nomul_transport;

/* External memory that host and machine share. base is the address of its first byte as the machine
 * sees it, a multiple of 4096; offsets and sizes count bytes. write and read return 0 where they
 * have done it: then what was written is in the memory, and what the machine wrote is read. */
typedef struct {
    void *context;
    uint64_t base, size;
    int (*write)(void *context, uint64_t offset, const void *content, size_t bytes);
    int (*read)(void *context, uint64_t offset, void *content, size_t bytes);
} nomul_memory;

/* A tensor: codes [channels][height][width]; value = code * 2 ** -fraction. */
typedef struct {
    uint32_t channels, height, width;
    uint32_t address, words;
    const unsigned char *index;
    int bits, is_signed, is_logarithmic, fraction;
} nomul_tensor;

/* A network, in a file's content, which must stay where it is. */
typedef struct {
    const unsigned char *content;
    uint32_t fingerprint, version, lanes, bits, pieces, entries, beats;
    uint64_t cycles;
    nomul_tensor input, output;
} nomul_image;

/* A machine with a network in it. error and pc say more of NOMUL_FAILED, and where the error is
 * NOMUL_ERROR_TRANSFER, transfer_errors of its two channels. features is where the buffer of
 * tensors begins in the memory; whole, whether all that is loaded is as a start needs it. */
typedef struct {
    nomul_transport transport;
    nomul_memory memory;
    nomul_image image;
    uint64_t features;
    uint32_t error, pc, transfer_errors[2];
    int whole;
} nomul_machine;

/* Understand the content of a file network.image. */
nomul_status nomul_read_image(nomul_image *image, const void *content, size_t bytes);

/* External memory that a network takes, in bytes; 0 where it lives on chip. */
uint64_t nomul_memory_bytes(const nomul_image *image);

/* Stop the machine whatever it does, check that it is the network's, and load the network. memory
 * may be NULL for a network that takes none. */
nomul_status nomul_open(nomul_machine *machine, const nomul_transport *transport,
                        const nomul_image *image, const nomul_memory *memory);

/* Run one image: codes of the input and of the output, nomul_count() each. cycles may be NULL. */
nomul_status nomul_run(nomul_machine *machine, const int32_t *input, int32_t *output,
                       uint32_t *cycles);

/* Codes of a tensor. */
uint32_t nomul_count(const nomul_tensor *tensor);

/* Nearest codes, ties to even, saturated; not of a logarithmic tensor. NaN becomes 0. */
void nomul_quantize(const nomul_tensor *tensor, const float *values, int32_t *codes);

void nomul_dequantize(const nomul_tensor *tensor, const int32_t *codes, float *values);

/* What a status says and what to do. */
const char *nomul_message(nomul_status status);

/* Under Linux: the machine at a physical address, by /dev/mem. */
nomul_status nomul_open_devmem(nomul_transport *transport, uint64_t base);

/* Under Linux: the memory that the kernel's module u-dma-buf holds, by the folder that tells of it
 * and its device: "/sys/class/u-dma-buf/nomul-memory" and "/dev/nomul-memory". */
nomul_status nomul_open_udmabuf(nomul_memory *memory, const char *folder, const char *device);

#ifdef __cplusplus
}
#endif

#endif
