#include "nomul.h"

#include <math.h>

#include "nomul_registers.h"

#define MAGIC 0x694d6f4eu
#define FORMAT 1u
#define HEADER_WORDS 12u
#define ENTRY_WORDS 8u
#define LOAD 1u
#define INPUT 2u
#define OUTPUT 3u
#define NOTHING 0xffffffffu

/* 32-bit pieces of the widest word that the driver can hold. */
#define MOST_PIECES 128u

/* A machine that runs more than so many times the predicted cycles counts as hung. */
#define MARGIN 2u

/* Little-endian, at any address, on any machine. */
static uint32_t word_at(const unsigned char *place, size_t index)
{
    const unsigned char *p = place + 4 * index;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

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
    if (image->lanes > 32 * MOST_PIECES || image->bits > 16 ||
        image->lanes * image->bits > 32 * MOST_PIECES)
        return NOMUL_WIDE_WORDS;
    image->pieces = 1;
    while (32 * image->pieces < image->lanes * image->bits) image->pieces *= 2;
    if (image->lanes == 0 || image->bits < 2 ||
        !holds(bytes, 4 * HEADER_WORDS, (uint64_t)ENTRY_WORDS * image->entries))
        return NOMUL_DAMAGED_IMAGE;
    int seen = 0;
    for (uint32_t i = 0; i < image->entries; ++i) {
        const unsigned char *entry = c + 4 * (HEADER_WORDS + ENTRY_WORDS * (size_t)i);
        const uint32_t kind = word_at(entry, 0);
        nomul_status status = NOMUL_OK;
        if (kind == LOAD) {
            const uint64_t words = (uint64_t)word_at(entry, 3) * word_at(entry, 4);
            if (word_at(entry, 4) > MOST_PIECES) status = NOMUL_WIDE_WORDS;
            else if (!holds(bytes, word_at(entry, 5), words)) status = NOMUL_DAMAGED_IMAGE;
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

static nomul_status get(nomul_machine *machine, uint32_t address, uint32_t *words, uint32_t count)
{
    const nomul_transport *t = &machine->transport;
    return t->read(t->context, address, words, count) ? NOMUL_NO_ACCESS : NOMUL_OK;
}

static nomul_status put(nomul_machine *machine, uint32_t address, const uint32_t *words,
                        uint32_t count)
{
    const nomul_transport *t = &machine->transport;
    return t->write(t->context, address, words, count) ? NOMUL_NO_ACCESS : NOMUL_OK;
}

static nomul_status set(nomul_machine *machine, uint32_t address, uint32_t value)
{
    return put(machine, address, &value, 1);
}

static nomul_status load(nomul_machine *machine, const unsigned char *entry)
{
    uint32_t word[MOST_PIECES];
    const uint32_t pieces = word_at(entry, 4), words = word_at(entry, 3);
    const unsigned char *from = machine->image.content + word_at(entry, 5);
    const uint32_t to =
        (word_at(entry, 1) << NOMUL_REGION_SHIFT) + word_at(entry, 2) * pieces;
    for (uint32_t w = 0; w < words; ++w) {
        for (uint32_t p = 0; p < pieces; ++p) word[p] = word_at(from, (size_t)w * pieces + p);
        const nomul_status status = put(machine, to + w * pieces, word, pieces);
        if (status != NOMUL_OK) return status;
    }
    return NOMUL_OK;
}

nomul_status nomul_open(nomul_machine *machine, const nomul_transport *transport,
                        const nomul_image *image)
{
    uint32_t found[3] = {0, 0, 0};
    machine->transport = *transport;
    machine->image = *image;
    machine->error = machine->pc = 0;
    nomul_status status = get(machine, NOMUL_REGISTER_ID, found, 3);
    if (status != NOMUL_OK) return status;
    if (found[NOMUL_REGISTER_ID] != NOMUL_ID) return NOMUL_NO_MACHINE;
    if (found[NOMUL_REGISTER_FINGERPRINT] != image->fingerprint) return NOMUL_OTHER_MACHINE;
    status = set(machine, NOMUL_REGISTER_CONTROL, NOMUL_CONTROL_STOP);
    if (status == NOMUL_OK) status = set(machine, NOMUL_REGISTER_INTERRUPT, 0);
    for (uint32_t i = 0; status == NOMUL_OK && i < image->entries; ++i) {
        const unsigned char *entry =
            image->content + 4 * (HEADER_WORDS + ENTRY_WORDS * (size_t)i);
        if (word_at(entry, 0) == LOAD) status = load(machine, entry);
    }
    return status;
}

static nomul_status write_input(nomul_machine *machine, const int32_t *codes)
{
    const nomul_image *image = &machine->image;
    const nomul_tensor *tensor = &image->input;
    const uint32_t mask = (1u << image->bits) - 1;
    const uint32_t to = (NOMUL_REGION_FEATURES << NOMUL_REGION_SHIFT) +
                        tensor->address * image->pieces;
    for (uint32_t w = 0; w < tensor->words; ++w) {
        uint32_t word[MOST_PIECES + 1] = {0};
        for (uint32_t lane = 0; lane < image->lanes; ++lane) {
            const uint32_t place = word_at(tensor->index, (size_t)w * image->lanes + lane);
            if (place == NOTHING) continue;
            const uint64_t code = (uint64_t)((uint32_t)codes[place] & mask);
            const uint32_t bit = lane * image->bits;
            word[bit / 32] |= (uint32_t)(code << bit % 32);
            word[bit / 32 + 1] |= (uint32_t)(code << bit % 32 >> 32);
        }
        const nomul_status status = put(machine, to + w * image->pieces, word, image->pieces);
        if (status != NOMUL_OK) return status;
    }
    return NOMUL_OK;
}

/* The codes of an output stand in any order of lanes, so words are read as they are asked for; the
 * next code is mostly in another word of the same row, and the last word read is kept. */
static nomul_status read_output(nomul_machine *machine, int32_t *codes)
{
    const nomul_image *image = &machine->image;
    const nomul_tensor *tensor = &image->output;
    const uint32_t from = (NOMUL_REGION_FEATURES << NOMUL_REGION_SHIFT) +
                          tensor->address * image->pieces;
    const uint32_t count = nomul_count(tensor), mask = (1u << image->bits) - 1;
    const uint32_t sign = tensor->is_signed ? 1u << (image->bits - 1) : 0;
    uint32_t word[MOST_PIECES + 1] = {0}, held = NOTHING;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t slot = word_at(tensor->index, i), bit = slot % image->lanes * image->bits;
        if (slot / image->lanes != held) {
            held = slot / image->lanes;
            const nomul_status status =
                get(machine, from + held * image->pieces, word, image->pieces);
            if (status != NOMUL_OK) return status;
        }
        const uint64_t pair = word[bit / 32] | (uint64_t)word[bit / 32 + 1] << 32;
        const uint32_t code = (uint32_t)(pair >> bit % 32) & mask;
        codes[i] = (int32_t)(code ^ sign) - (int32_t)sign;
    }
    return NOMUL_OK;
}

static nomul_status wait(nomul_machine *machine)
{
    for (;;) {
        uint32_t status = 0, cycles = 0;
        nomul_status done = get(machine, NOMUL_REGISTER_STATUS, &status, 1);
        if (done != NOMUL_OK) return done;
        switch (status & 0xff) {
        case NOMUL_STATE_HALTED:
            return NOMUL_OK;
        case NOMUL_STATE_RUNNING:
            break;
        case NOMUL_STATE_FAILED:
            machine->error = status >> 8 & 0xff;
            done = get(machine, NOMUL_REGISTER_PC, &machine->pc, 1);
            return done == NOMUL_OK ? NOMUL_FAILED : done;
        default:
            return NOMUL_STOPPED;
        }
        done = get(machine, NOMUL_REGISTER_CYCLES, &cycles, 1);
        if (done != NOMUL_OK) return done;
        if (cycles > MARGIN * machine->image.cycles) {
            done = set(machine, NOMUL_REGISTER_CONTROL, NOMUL_CONTROL_STOP);
            return done == NOMUL_OK ? NOMUL_HUNG : done;
        }
        machine->transport.idle(machine->transport.context);
    }
}

nomul_status nomul_run(nomul_machine *machine, const int32_t *input, int32_t *output,
                       uint32_t *cycles)
{
    nomul_status status = write_input(machine, input);
    if (status == NOMUL_OK) status = set(machine, NOMUL_REGISTER_STOP_AFTER, 0);
    if (status == NOMUL_OK) status = set(machine, NOMUL_REGISTER_CONTROL, NOMUL_CONTROL_START);
    if (status == NOMUL_OK) status = wait(machine);
    if (status == NOMUL_OK) status = read_output(machine, output);
    if (status == NOMUL_OK && cycles) status = get(machine, NOMUL_REGISTER_CYCLES, cycles, 1);
    return status;
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

const char *nomul_message(nomul_status status)
{
    switch (status) {
    case NOMUL_OK: return "done";
    case NOMUL_NO_IMAGE: return "this is no image of a network; package the network again";
    case NOMUL_OTHER_FORMAT: return "an image of another format; take the driver of its package";
    case NOMUL_DAMAGED_IMAGE: return "the image is damaged; copy it again";
    case NOMUL_WIDE_WORDS: return "the machine's words are too wide; raise MOST_PIECES";
    case NOMUL_NO_ACCESS: return "the machine cannot be reached; run as root";
    case NOMUL_NO_MACHINE: return "no NoMul machine answers; check the bitstream";
    case NOMUL_OTHER_MACHINE: return "the network was made for another machine; compile it again";
    case NOMUL_FAILED: return "the machine stopped with an error; the program is damaged";
    case NOMUL_STOPPED: return "the machine was stopped; start it again";
    case NOMUL_HUNG: return "the machine hangs; the program is damaged, compile it again";
    }
    return "an unknown status";
}
