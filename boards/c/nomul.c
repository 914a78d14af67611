#include "nomul_internal.h"

/* A machine that runs more than so many times the predicted cycles counts as hung. */
#define MARGIN 2u

/* The same with external memory, which may be much slower than the prediction takes it; a machine
 * whose transfers do not go on ends by itself. */
#define EXTERNAL_MARGIN 64u

/* Looks at channels that finish what is under way on their ports, after a stop. */
#define LOOKS 10000u

/* Bytes of feature words that are written to external memory at once. */
#define BLOCK 4096u

#define DMA (NOMUL_DMA_REGION << NOMUL_REGION_SHIFT)
#define CHANNEL_STATUS(channel) \
    (DMA + NOMUL_CHANNEL_WORDS * (1 + (channel)) + NOMUL_CHANNELREGISTER_STATUS)

static void store_word(unsigned char *place, uint32_t word)
{
    for (int byte = 0; byte < 4; ++byte) place[byte] = (unsigned char)(word >> 8 * byte & 0xff);
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

/* Wait until nothing is under way between a stopped machine and external memory. */
static nomul_status rest(nomul_machine *machine)
{
    for (uint32_t look = 0; look < LOOKS; ++look) {
        uint32_t idle = 1;
        for (uint32_t channel = 0; channel < NOMUL_CHANNELS; ++channel) {
            uint32_t status = 0;
            const nomul_status done = get(machine, CHANNEL_STATUS(channel), &status, 1);
            if (done != NOMUL_OK) return done;
            idle &= status >> NOMUL_STATUSBIT_IDLE;
        }
        if (idle) return NOMUL_OK;
        machine->transport.idle(machine->transport.context);
    }
    return NOMUL_NO_REST;
}

/* Fill the buffers in external memory and tell the machine where they stand; the size, which makes
 * a buffer whole, comes last. */
static nomul_status load_buffers(nomul_machine *machine)
{
    const nomul_memory *memory = &machine->memory;
    nomul_status status = rest(machine);
    uint64_t place = 0;
    for (uint32_t i = 0; status == NOMUL_OK && i < machine->image.entries; ++i) {
        const unsigned char *entry = entry_at(&machine->image, i);
        if (word_at(entry, 0) != BUFFER) continue;
        const uint32_t buffer = word_at(entry, 1), size = word_at(entry, 2);
        const uint32_t at = DMA + NOMUL_BUFFERS + 2 * buffer;
        const size_t bytes = 4 * (size_t)word_at(entry, 3);
        const unsigned char *from = machine->image.content + word_at(entry, 4);
        if (buffer == NOMUL_BUFFER_FEATURES) machine->features = place;
        if (bytes && memory->write(memory->context, place, from, bytes)) return NOMUL_NO_ACCESS;
        status = set(machine, at + NOMUL_BUFFERREGISTER_BASE, (uint32_t)(memory->base + place));
        if (status == NOMUL_OK) status = set(machine, at + NOMUL_BUFFERREGISTER_SIZE, size);
        place += ((uint64_t)size + PAGE - 1) / PAGE * PAGE;
    }
    return status;
}

/* Stop the machine; write instructions, weights, parameters and buffers. */
static nomul_status load_all(nomul_machine *machine)
{
    const nomul_image *image = &machine->image;
    nomul_status status = set(machine, NOMUL_REGISTER_CONTROL, NOMUL_CONTROL_STOP);
    if (status == NOMUL_OK) status = set(machine, NOMUL_REGISTER_INTERRUPT, 0);
    if (status == NOMUL_OK && image->beats) status = load_buffers(machine);
    for (uint32_t i = 0; status == NOMUL_OK && i < image->entries; ++i) {
        const unsigned char *entry = entry_at(image, i);
        if (word_at(entry, 0) == LOAD) status = load(machine, entry);
    }
    machine->whole = status == NOMUL_OK;
    return status;
}

nomul_status nomul_open(nomul_machine *machine, const nomul_transport *transport,
                        const nomul_image *image, const nomul_memory *memory)
{
    static const nomul_memory none;
    const uint64_t needed = nomul_memory_bytes(image);
    uint32_t found[3] = {0, 0, 0};
    machine->transport = *transport;
    machine->memory = memory ? *memory : none;
    machine->image = *image;
    machine->features = 0;
    machine->error = machine->pc = machine->transfer_errors[0] = machine->transfer_errors[1] = 0;
    if (needed && (!memory || memory->size < needed || memory->base % PAGE ||
                   memory->base + needed > (uint64_t)1 << 32))
        return NOMUL_NO_MEMORY;
    nomul_status status = get(machine, NOMUL_REGISTER_ID, found, 3);
    if (status != NOMUL_OK) return status;
    if (found[NOMUL_REGISTER_ID] != NOMUL_ID) return NOMUL_NO_MACHINE;
    if (found[NOMUL_REGISTER_FINGERPRINT] != image->fingerprint) return NOMUL_OTHER_MACHINE;
    return load_all(machine);
}

static uint32_t feature_address(const nomul_image *image, uint32_t address)
{
    return (NOMUL_REGION_FEATURES << NOMUL_REGION_SHIFT) + address * image->pieces;
}

/* Feature words on their way to external memory: the address of the first, and how many. */
struct block {
    nomul_machine *machine;
    uint32_t address, words;
    unsigned char content[BLOCK];
};

static nomul_status flush(struct block *block)
{
    const nomul_memory *memory = &block->machine->memory;
    const uint32_t size = NOMUL_BEAT * block->machine->image.beats;
    const uint64_t to = block->machine->features + (uint64_t)block->address * size;
    if (memory->write(memory->context, to, block->content, (size_t)block->words * size))
        return NOMUL_NO_ACCESS;
    block->address += block->words;
    block->words = 0;
    return NOMUL_OK;
}

static nomul_status append(struct block *block, const uint32_t *word)
{
    const uint32_t size = NOMUL_BEAT * block->machine->image.beats;
    unsigned char *to = block->content + (size_t)block->words * size;
    for (uint32_t p = 0; 4 * p < size; ++p) store_word(to + 4 * p, word[p]);
    block->words += 1;
    return (block->words + 1) * size > BLOCK ? flush(block) : NOMUL_OK;
}

static nomul_status write_input(nomul_machine *machine, const int32_t *codes)
{
    const nomul_image *image = &machine->image;
    const nomul_tensor *tensor = &image->input;
    const uint32_t mask = (1u << image->bits) - 1;
    struct block block = {machine, tensor->address, 0, {0}};
    nomul_status status = NOMUL_OK;
    for (uint32_t w = 0; status == NOMUL_OK && w < tensor->words; ++w) {
        uint32_t word[MOST_PIECES + 1] = {0};
        for (uint32_t lane = 0; lane < image->lanes; ++lane) {
            const uint32_t place = word_at(tensor->index, (size_t)w * image->lanes + lane);
            if (place == NOTHING) continue;
            const uint64_t code = (uint64_t)((uint32_t)codes[place] & mask);
            const uint32_t bit = lane * image->bits;
            word[bit / 32] |= (uint32_t)(code << bit % 32);
            word[bit / 32 + 1] |= (uint32_t)(code << bit % 32 >> 32);
        }
        const uint32_t to = feature_address(image, tensor->address + w);
        status = image->beats ? append(&block, word) : put(machine, to, word, image->pieces);
    }
    return status == NOMUL_OK && image->beats ? flush(&block) : status;
}

/* A feature word: its pieces. */
static nomul_status read_feature(nomul_machine *machine, uint32_t address, uint32_t *word)
{
    const nomul_image *image = &machine->image;
    const nomul_memory *memory = &machine->memory;
    if (!image->beats) return get(machine, feature_address(image, address), word, image->pieces);
    unsigned char bytes[4 * MOST_PIECES];
    const uint32_t size = NOMUL_BEAT * image->beats;
    const uint64_t from = machine->features + (uint64_t)address * size;
    if (memory->read(memory->context, from, bytes, size)) return NOMUL_NO_ACCESS;
    for (uint32_t p = 0; 4 * p < size; ++p) word[p] = word_at(bytes, p);
    return NOMUL_OK;
}

/* The codes of an output stand in any order of lanes, so words are read as they are asked for; the
 * next code is mostly in another word of the same row, and the last word read is kept. */
static nomul_status read_output(nomul_machine *machine, int32_t *codes)
{
    const nomul_image *image = &machine->image;
    const nomul_tensor *tensor = &image->output;
    const uint32_t count = nomul_count(tensor), mask = (1u << image->bits) - 1;
    const uint32_t sign = tensor->is_signed ? 1u << (image->bits - 1) : 0;
    uint32_t word[MOST_PIECES + 1] = {0}, held = NOTHING;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t slot = word_at(tensor->index, i), bit = slot % image->lanes * image->bits;
        if (slot / image->lanes != held) {
            held = slot / image->lanes;
            const nomul_status status = read_feature(machine, tensor->address + held, word);
            if (status != NOMUL_OK) return status;
        }
        const uint64_t pair = word[bit / 32] | (uint64_t)word[bit / 32 + 1] << 32;
        const uint32_t code = (uint32_t)(pair >> bit % 32) & mask;
        codes[i] = (int32_t)(code ^ sign) - (int32_t)sign;
    }
    return NOMUL_OK;
}

/* What a stopped machine says of itself. */
static nomul_status failure(nomul_machine *machine, uint32_t error)
{
    nomul_status done = get(machine, NOMUL_REGISTER_PC, &machine->pc, 1);
    machine->error = error;
    const uint32_t channels = error == NOMUL_ERROR_TRANSFER ? NOMUL_CHANNELS : 0;
    for (uint32_t channel = 0; channel < channels; ++channel) {
        uint32_t status = 0;
        if (done == NOMUL_OK) done = get(machine, CHANNEL_STATUS(channel), &status, 1);
        machine->transfer_errors[channel] = status >> 8 & 0xff;
    }
    return done == NOMUL_OK ? NOMUL_FAILED : done;
}

static nomul_status wait(nomul_machine *machine)
{
    const uint64_t margin = machine->image.beats ? EXTERNAL_MARGIN : MARGIN;
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
            return failure(machine, status >> 8 & 0xff);
        default:
            return NOMUL_STOPPED;
        }
        done = get(machine, NOMUL_REGISTER_CYCLES, &cycles, 1);
        if (done != NOMUL_OK) return done;
        if (cycles > margin * machine->image.cycles) {
            done = set(machine, NOMUL_REGISTER_CONTROL, NOMUL_CONTROL_STOP);
            return done == NOMUL_OK ? NOMUL_HUNG : done;
        }
        machine->transport.idle(machine->transport.context);
    }
}

nomul_status nomul_run(nomul_machine *machine, const int32_t *input, int32_t *output,
                       uint32_t *cycles)
{
    /* A program in external memory that did not come to its end has left instructions on chip that
     * are not the first ones. */
    nomul_status status =
        machine->image.beats && !machine->whole ? load_all(machine) : NOMUL_OK;
    if (status == NOMUL_OK) status = write_input(machine, input);
    machine->whole = 0;
    if (status == NOMUL_OK) status = set(machine, NOMUL_REGISTER_STOP_AFTER, 0);
    if (status == NOMUL_OK) status = set(machine, NOMUL_REGISTER_CONTROL, NOMUL_CONTROL_START);
    if (status == NOMUL_OK) status = wait(machine);
    machine->whole = status == NOMUL_OK;
    if (status == NOMUL_OK) status = read_output(machine, output);
    if (status == NOMUL_OK && cycles) status = get(machine, NOMUL_REGISTER_CYCLES, cycles, 1);
    return status;
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
    case NOMUL_NO_MEMORY:
        return "external memory is missing, too small or out of the machine's reach; reserve more";
    case NOMUL_NO_REST: return "the memory ports do not come to rest; load the bitstream anew";
    case NOMUL_NO_MACHINE: return "no NoMul machine answers; check the bitstream";
    case NOMUL_OTHER_MACHINE: return "the network was made for another machine; compile it again";
    case NOMUL_FAILED: return "the machine stopped with an error; the program is damaged";
    case NOMUL_STOPPED: return "the machine was stopped; start it again";
    case NOMUL_HUNG: return "the machine hangs; the program is damaged, compile it again";
    }
    return "an unknown status";
}
