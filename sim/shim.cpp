// C functions over a Verilated model, for ctypes. The model's ports come from ports.inc, a line
// PORT(index, member) each; CLOCKED, BUS and LITE say whether there is a clock, a host bus, or an
// AXI4-Lite port that is used instead, MEMORY whether there are ports to external memory.
#include <cstdint>

#include "Vtop.h"
#ifdef MEMORY
#include "axi_memory.h"
#endif

struct Model {
    Vtop top;
#ifdef MEMORY
    axi::Memory memory{top};
#endif
};

namespace {

inline void cycle(Model *model) {
#ifdef CLOCKED
    Vtop *top = &model->top;
    // No output of an AXI port depends on an input without a register: what the machine shows
    // here is what the edge finds.
#ifdef MEMORY
    model->memory.edge(top->rst);
#endif
    // Inputs settle with the rising edge: Verilator evaluates what depends on them first.
    top->clk = 1;
    top->eval();
#ifdef MEMORY
    model->memory.offer();
#endif
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

Model *model_new() {
    Model *model = new Model;
    model->top.eval();
    return model;
}

void model_delete(Model *model) { delete model; }

#ifdef MEMORY
void *model_memory(Model *model) { return &model->memory.settings; }
#endif

void *model_port(Model *model, int index) {
    switch (index) {
#define PORT(index, member) \
    case index: return &model->top.member;
#include "ports.inc"
#undef PORT
    default: return nullptr;
    }
}

void model_eval(Model *model) { model->top.eval(); }

void model_tick(Model *model, uint64_t cycles) {
    for (; cycles; --cycles) cycle(model);
}

// Cycles until (port & mask) == value, at most limit; sees the state before the first cycle too.
uint64_t model_run_until(Model *model, const void *port, unsigned bytes, uint64_t mask,
                         uint64_t wanted, uint64_t limit) {
    uint64_t cycles = 0;
    for (; (value(port, bytes) & mask) != wanted && cycles < limit; ++cycles) cycle(model);
    return cycles;
}

#ifdef BUS
// Returns how many were written, *cycles how long it took.
uint64_t model_write(Model *model, uint32_t address, const uint32_t *words, uint64_t count,
                     uint64_t, uint64_t *cycles) {
    Vtop *top = &model->top;
    top->bus___05Fwrite = 1;
    for (uint64_t i = 0; i < count; ++i) {
        top->bus___05Faddress = address + i;
        top->bus___05Fwrite_data = words[i];
        cycle(model);
    }
    top->bus___05Fwrite = 0;
    *cycles = count;
    return count;
}

// One read a cycle; the words come later, in order. Returns how many came, *cycles how long it took.
uint64_t model_read(Model *model, uint32_t address, uint32_t *words, uint64_t count,
                    uint64_t latency_limit, uint64_t *cycles) {
    Vtop *top = &model->top;
    uint64_t got = 0, passed = 0;
    for (; got < count && passed < count + latency_limit; ++passed) {
        top->bus___05Fread = passed < count;
        if (passed < count) top->bus___05Faddress = address + passed;
        cycle(model);
        if (top->bus___05Fread_valid) words[got++] = top->bus___05Fread_data;
    }
    top->bus___05Fread = 0;
    *cycles = passed;
    return got;
}
#endif

#ifdef LITE
// One access after the other; one that is answered with an error, or not within the limit, is the
// last. What is ready in a cycle is seen before its edge.
uint64_t model_write(Model *model, uint32_t address, const uint32_t *words, uint64_t count,
                     uint64_t latency_limit, uint64_t *cycles) {
    Vtop *top = &model->top;
    uint64_t done = 0;
    *cycles = 0;
    top->control___05Fwstrb = 15;
    top->control___05Fbready = 1;
    for (bool right = true; right && done < count; done += right) {
        top->control___05Fawaddr = 4 * (address + done);
        top->control___05Fwdata = words[done];
        top->control___05Fawvalid = top->control___05Fwvalid = 1;
        right = false;
        for (uint64_t passed = 0, answered = 0; !answered && passed < latency_limit; ++passed) {
            top->eval();
            bool addressed = top->control___05Fawready, taken = top->control___05Fwready;
            answered = top->control___05Fbvalid;
            right = answered && top->control___05Fbresp == 0;
            cycle(model);
            ++*cycles;
            if (addressed) top->control___05Fawvalid = 0;
            if (taken) top->control___05Fwvalid = 0;
        }
    }
    return done;
}

uint64_t model_read(Model *model, uint32_t address, uint32_t *words, uint64_t count,
                    uint64_t latency_limit, uint64_t *cycles) {
    Vtop *top = &model->top;
    uint64_t got = 0;
    *cycles = 0;
    top->control___05Frready = 1;
    for (bool right = true; right && got < count; got += right) {
        top->control___05Faraddr = 4 * (address + got);
        top->control___05Farvalid = 1;
        right = false;
        for (uint64_t passed = 0, answered = 0; !answered && passed < latency_limit; ++passed) {
            top->eval();
            bool addressed = top->control___05Farready;
            answered = top->control___05Frvalid;
            right = answered && top->control___05Frresp == 0;
            if (answered) words[got] = top->control___05Frdata;
            cycle(model);
            ++*cycles;
            if (addressed) top->control___05Farvalid = 0;
        }
    }
    return got;
}
#endif

}
