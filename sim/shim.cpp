// C functions over a Verilated model, for ctypes. The model's ports come from ports.inc, a line
// PORT(index, member) each; CLOCKED and BUS say whether there is a clock and a host bus.
#include <cstdint>

#include "Vtop.h"

namespace {

inline void cycle(Vtop *top) {
#ifdef CLOCKED
    // Inputs settle with the rising edge: Verilator evaluates what depends on them first.
    top->clk = 1;
    top->eval();
    top->clk = 0;
    top->eval();
#endif
}

inline uint64_t value(const void *port, unsigned bytes) {
    switch (bytes) {
    case 1: return *static_cast<const uint8_t *>(port);
    case 2: return *static_cast<const uint16_t *>(port);
    case 4: return *static_cast<const uint32_t *>(port);
    default: return *static_cast<const uint64_t *>(port);
    }
}

}  // namespace

extern "C" {

Vtop *model_new() {
    Vtop *top = new Vtop;
    top->eval();
    return top;
}

void model_delete(Vtop *top) { delete top; }

void *model_port(Vtop *top, int index) {
    switch (index) {
#define PORT(index, member) \
    case index: return &top->member;
#include "ports.inc"
#undef PORT
    default: return nullptr;
    }
}

void model_eval(Vtop *top) { top->eval(); }

void model_tick(Vtop *top, uint64_t cycles) {
    for (; cycles; --cycles) cycle(top);
}

// Cycles until (port & mask) == value, at most limit; sees the state before the first cycle too.
uint64_t model_run_until(Vtop *top, const void *port, unsigned bytes, uint64_t mask,
                         uint64_t wanted, uint64_t limit) {
    uint64_t cycles = 0;
    for (; (value(port, bytes) & mask) != wanted && cycles < limit; ++cycles) cycle(top);
    return cycles;
}

#ifdef BUS
void model_write(Vtop *top, uint32_t address, const uint32_t *words, uint64_t count) {
    top->bus___05Fwrite = 1;
    for (uint64_t i = 0; i < count; ++i) {
        top->bus___05Faddress = address + i;
        top->bus___05Fwrite_data = words[i];
        cycle(top);
    }
    top->bus___05Fwrite = 0;
}

// One read a cycle; the words come later, in order. Returns how many came, *cycles how long it took.
uint64_t model_read(Vtop *top, uint32_t address, uint32_t *words, uint64_t count,
                    uint64_t latency_limit, uint64_t *cycles) {
    uint64_t got = 0, passed = 0;
    for (; got < count && passed < count + latency_limit; ++passed) {
        top->bus___05Fread = passed < count;
        if (passed < count) top->bus___05Faddress = address + passed;
        cycle(top);
        if (top->bus___05Fread_valid) words[got++] = top->bus___05Fread_data;
    }
    top->bus___05Fread = 0;
    *cycles = passed;
    return got;
}
#endif

}
