#include <math.h>

#include "nomul_internal.h"

#define MAGIC 0x694d6f4eu
#define FORMAT 2u

static uint32_t crc32(const unsigned char *content, size_t bytes)
{
    uint32_t sum = 0xffffffffu;
    for (size_t i = 0; i < bytes; ++i) {
        sum ^= content[i];
        for (int bit = 0; bit < 8; ++bit)
            sum = sum >> 1 ^ (0xedb88320u & (0u - (sum & 1)));
    }
    return ~sum;
}

uint32_t nomul_count(const nomul_tensor *tensor)
{
    return tensor->channels * tensor->height * tensor->width;
}

/* Whether so many words stand at a byte of the content. */
static int holds(size_t bytes, uint64_t at, uint64_t words)
{
    return at % 4 == 0 && at <= bytes && words <= (bytes - at) / 4;
}

static nomul_status read_tensor(const nomul_image *image, nomul_tensor *tensor, size_t bytes,
                                const unsigned char *entry, int is_input)
{
    tensor->channels = word_at(entry, 1);
    tensor->height = word_at(entry, 2);
    tensor->width = word_at(entry, 3);
    tensor->address = word_at(entry, 4);
    tensor->words = word_at(entry, 5);
    tensor->index = image->content + word_at(entry, 6);
    const uint32_t form = word_at(entry, 7);
    tensor->is_signed = form & 1;
    tensor->is_logarithmic = form >> 1 & 1;
    tensor->bits = form >> 8 & 0xff;
    tensor->fraction = (int)(form >> 16) - (form >> 31 ? 0x10000 : 0);
    const uint64_t codes = (uint64_t)tensor->channels * tensor->height * tensor->width;
    const uint64_t lanes = (uint64_t)tensor->words * image->lanes;
    const uint64_t length = is_input ? lanes : codes, limit = is_input ? codes : lanes;
    if (codes >> 31 || lanes >> 31 || tensor->bits < 2 || tensor->bits > 31 ||
        !holds(bytes, word_at(entry, 6), length))
        return NOMUL_DAMAGED_IMAGE;
    for (uint64_t i = 0; i < length; ++i) {
        const uint32_t place = word_at(tensor->index, i);
        if (place >= limit && !(is_input && place == NOTHING)) return NOMUL_DAMAGED_IMAGE;
    }
    return NOMUL_OK;
}

nomul_status nomul_read_image(nomul_image *image, const void *content, size_t bytes)
{
    const unsigned char *c = content;
    if (bytes < 4 * HEADER_WORDS || word_at(c, 0) != MAGIC) return NOMUL_NO_IMAGE;
    if (word_at(c, 1) != FORMAT) return NOMUL_OTHER_FORMAT;
    if (word_at(c, 2) != bytes || word_at(c, 3) != crc32(c + 16, bytes - 16))
        return NOMUL_DAMAGED_IMAGE;
    image->content = c;
    image->fingerprint = word_at(c, 4);
    image->version = word_at(c, 5);
    image->cycles = word_at(c, 6) | (uint64_t)word_at(c, 7) << 32;
    image->lanes = word_at(c, 8);
    image->bits = word_at(c, 9);
    image->entries = word_at(c, 10);
    image->beats = word_at(c, 11);
    if (image->lanes > 32 * MOST_PIECES || image->bits > 16 ||
        image->lanes * image->bits > 32 * MOST_PIECES)
        return NOMUL_WIDE_WORDS;
    image->pieces = 1;
    while (32 * image->pieces < image->lanes * image->bits) image->pieces *= 2;
    if (image->lanes == 0 || image->bits < 2 || image->beats > MOST_PIECES / 2 ||
        (image->beats && NOMUL_BEAT * image->beats < (image->lanes * image->bits + 7) / 8) ||
        !holds(bytes, 4 * HEADER_WORDS, (uint64_t)ENTRY_WORDS * image->entries))
        return NOMUL_DAMAGED_IMAGE;
    int seen = 0;
    for (uint32_t i = 0; i < image->entries; ++i) {
        const unsigned char *entry = entry_at(image, i);
        const uint32_t kind = word_at(entry, 0);
        nomul_status status = NOMUL_OK;
        if (kind == LOAD) {
            const uint64_t words = (uint64_t)word_at(entry, 3) * word_at(entry, 4);
            if (word_at(entry, 4) > MOST_PIECES) status = NOMUL_WIDE_WORDS;
            else if (!holds(bytes, word_at(entry, 5), words)) status = NOMUL_DAMAGED_IMAGE;
        } else if (kind == BUFFER) {
            if (word_at(entry, 1) > NOMUL_BUFFER_FEATURES ||
                !holds(bytes, word_at(entry, 4), word_at(entry, 3)) ||
                (uint64_t)4 * word_at(entry, 3) > word_at(entry, 2))
                status = NOMUL_DAMAGED_IMAGE;
        } else if (kind == INPUT) {
            status = read_tensor(image, &image->input, bytes, entry, 1);
        } else if (kind == OUTPUT) {
            status = read_tensor(image, &image->output, bytes, entry, 0);
        } else {
            status = NOMUL_DAMAGED_IMAGE;
        }
        if (status != NOMUL_OK) return status;
        seen |= 1 << kind;
    }
    return (seen & 12) == 12 ? NOMUL_OK : NOMUL_DAMAGED_IMAGE;
}

uint64_t nomul_memory_bytes(const nomul_image *image)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < image->entries; ++i) {
        const unsigned char *entry = entry_at(image, i);
        if (word_at(entry, 0) == BUFFER)
            bytes += ((uint64_t)word_at(entry, 2) + PAGE - 1) / PAGE * PAGE;
    }
    return bytes;
}

void nomul_quantize(const nomul_tensor *tensor, const float *values, int32_t *codes)
{
    const double low = tensor->is_signed ? -ldexp(1, tensor->bits - 1) : 0;
    const double high = ldexp(1, tensor->bits - tensor->is_signed) - 1;
    for (uint32_t i = 0, count = nomul_count(tensor); i < count; ++i) {
        const double code = rint(ldexp(values[i], tensor->fraction));
        codes[i] = code != code ? 0 : (int32_t)(code < low ? low : code > high ? high : code);
    }
}

void nomul_dequantize(const nomul_tensor *tensor, const int32_t *codes, float *values)
{
    for (uint32_t i = 0, count = nomul_count(tensor); i < count; ++i)
        values[i] = (float)ldexp(codes[i], -tensor->fraction);
}
