// An external memory at the ports axi_0 and axi_1 of a model, cycle by cycle. What it does is said
// in axi_memory.py, whose structure Settings is the one here, member by member.
#include <algorithm>
#include <cstring>
#include <deque>

namespace axi {

constexpr unsigned PORTS = 2, BEAT = 8, SHIFT = 3, PAGE = 4096, INCR = 1;
constexpr uint32_t BEAT_COST = 100;
constexpr size_t EARLY_BEATS = 256;  // data taken before their address

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };
enum Violation : uint32_t { NONE, KIND, LONG, CROSSING, LAST, STROBES, CHANGED };

struct Settings {
    uint8_t *content;
    const uint64_t *ranges, *errors;
    uint64_t base, range_count, error_count, random, stall;
    uint32_t latency, percent, outstanding, burst;
    uint64_t beats_read[PORTS], beats_written[PORTS], escapes, escape_address;
    uint32_t escape_port, escape_store, violation, violation_port;
};

// The model's own variables; the types are those of their widths.
struct Pins {
    const uint8_t *arvalid, *arlen, *arsize, *arburst, *awvalid, *awlen, *awsize, *awburst, *wvalid,
        *wstrb, *wlast, *rready, *bready;
    const uint32_t *araddr, *awaddr;
    const uint64_t *wdata;
    uint8_t *arready, *awready, *wready, *rvalid, *rresp, *rlast, *bvalid, *bresp;
    uint64_t *rdata;
};

struct Burst {
    uint64_t ready, address;
    unsigned beats;
    bool refused;
};

struct Beat {
    uint64_t data;
    uint8_t strobes, last;
};

struct Answer {
    uint64_t ready;
    uint8_t response;
};

// What a master offers on a channel: it stays until it is taken.
struct Offer {
    bool waits = false;
    uint64_t address = 0, length = 0;

    bool changed(bool valid, bool ready, uint64_t now_address, uint64_t now_length) {
        bool broken = waits && !(valid && now_address == address && now_length == length);
        waits = valid && !ready;
        address = now_address;
        length = now_length;
        return broken;
    }
};

class Port {
public:
    void connect(const Pins &its_pins, Settings *its_settings, unsigned its_number) {
        pins = its_pins;
        settings = its_settings;
        number = its_number;
    }

    // Before a rising edge: what passes at it.
    void edge() {
        const Pins &p = pins;
        if (reads_asked.changed(*p.arvalid, *p.arready, *p.araddr, *p.arlen) |
            writes_asked.changed(*p.awvalid, *p.awready, *p.awaddr, *p.awlen) |
            data_given.changed(*p.wvalid, *p.wready, *p.wdata, *p.wlast)) {
            violate(CHANGED);
        }
        if (*p.rvalid && *p.rready) end_beat();
        if (*p.bvalid && *p.bready) {
            answers.pop_front();
            answering = false;
        }
        if (*p.arvalid && *p.arready) {
            reads.push_back(taken(*p.araddr, *p.arlen, *p.arsize, *p.arburst, false));
            reads.back().ready = cycle + settings->latency;
        }
        if (*p.awvalid && *p.awready) {
            writes.push_back(taken(*p.awaddr, *p.awlen, *p.awsize, *p.awburst, true));
        }
        if (*p.wvalid && *p.wready) {
            data.push_back({*p.wdata, *p.wstrb, *p.wlast});
            credit -= BEAT_COST;
        }
        match();
        ++cycle;
    }

    // Behind a rising edge: what is offered until the next.
    void offer() {
        const Pins &p = pins;
        const Settings &s = *settings;
        credit = std::min(credit + s.percent, 2 * BEAT_COST - 1);
        *p.arready = reads.size() < s.outstanding && moves();
        *p.awready = writes.size() + answers.size() < s.outstanding && moves();
        if (!reading && !reads.empty() && cycle >= reads.front().ready && credit >= BEAT_COST &&
            moves()) {
            reading = true;
            credit -= BEAT_COST;
            show();
        }
        *p.rvalid = reading;
        *p.wready = credit >= BEAT_COST && data.size() < EARLY_BEATS && moves();
        if (!answering && !answers.empty() && cycle >= answers.front().ready && moves()) {
            answering = true;
            *p.bresp = answers.front().response;
        }
        *p.bvalid = answering;
    }

    // What is under way is forgotten, as with the reset of the bus.
    void clear() {
        reads.clear();
        writes.clear();
        data.clear();
        answers.clear();
        reading = answering = false;
        reads_asked = writes_asked = data_given = Offer();
    }

private:
    Pins pins;
    Settings *settings;
    unsigned number;
    uint64_t cycle = 0;
    uint32_t credit = 0;
    bool reading = false, answering = false;
    std::deque<Burst> reads, writes;
    std::deque<Beat> data;
    std::deque<Answer> answers;
    Offer reads_asked, writes_asked, data_given;

    // Whether a channel does not stall; xorshift64.
    bool moves() {
        if (!settings->stall) return true;
        uint64_t &state = settings->random;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state >> 32 >= settings->stall;
    }

    void violate(Violation what) {
        if (settings->violation) return;
        settings->violation = what;
        settings->violation_port = number;
    }

    bool allowed(uint64_t first, uint64_t end) const {
        for (uint64_t i = 0; i < settings->range_count; ++i) {
            const uint64_t *range = settings->ranges + 2 * i;
            if (range[0] <= first && end <= range[1]) return true;
        }
        return false;
    }

    Burst taken(uint64_t address, unsigned length, unsigned size, unsigned kind, bool store) {
        unsigned beats = length + 1;
        uint64_t end = address + beats * BEAT;
        if (size != SHIFT || kind != INCR || address % BEAT) violate(KIND);
        if (beats > settings->burst) violate(LONG);
        if (address / PAGE != (end - 1) / PAGE) violate(CROSSING);
        bool refused = !allowed(address, end);
        if (refused && !settings->escapes++) {
            settings->escape_address = address;
            settings->escape_port = number;
            settings->escape_store = store;
        }
        return {0, address, beats, refused};
    }

    uint8_t error_at(uint64_t address) const {
        const uint64_t *errors = settings->errors, *end = errors + settings->error_count;
        return std::find(errors, end, address) == end ? OKAY : SLVERR;
    }

    uint8_t *place(uint64_t address) const { return settings->content + (address - settings->base); }

    // The next beat that is read.
    void show() {
        const Burst &burst = reads.front();
        uint64_t value = 0;
        if (!burst.refused) std::memcpy(&value, place(burst.address), BEAT);
        *pins.rdata = value;
        *pins.rresp = burst.refused ? uint8_t(DECERR) : error_at(burst.address);
        *pins.rlast = burst.beats == 1;
    }

    void end_beat() {
        Burst &burst = reads.front();
        burst.address += BEAT;
        reading = false;
        ++settings->beats_read[number];
        if (!--burst.beats) reads.pop_front();
    }

    // Bursts whose data have all come are written.
    void match() {
        while (!writes.empty() && data.size() >= writes.front().beats) {
            const Burst &burst = writes.front();
            uint8_t response = burst.refused ? DECERR : OKAY;
            for (unsigned n = 0; n < burst.beats; ++n) {
                const Beat &beat = data.front();
                uint64_t address = burst.address + n * BEAT;
                if (beat.last != (n + 1 == burst.beats)) violate(LAST);
                if (beat.strobes != 0xFF) violate(STROBES);
                if (!burst.refused) {
                    std::memcpy(place(address), &beat.data, BEAT);
                    response = std::max(response, error_at(address));
                }
                data.pop_front();
            }
            settings->beats_written[number] += burst.beats;
            answers.push_back({cycle + settings->latency, response});
            writes.pop_front();
        }
    }
};

class Memory {
public:
    Settings settings = {};

    explicit Memory(Vtop &top) {
#define AXI_PORT(n)                                                                        \
    ports[n].connect(                                                                      \
        {&top.axi_##n##___05Farvalid, &top.axi_##n##___05Farlen, &top.axi_##n##___05Farsize, \
         &top.axi_##n##___05Farburst, &top.axi_##n##___05Fawvalid, &top.axi_##n##___05Fawlen, \
         &top.axi_##n##___05Fawsize, &top.axi_##n##___05Fawburst, &top.axi_##n##___05Fwvalid, \
         &top.axi_##n##___05Fwstrb, &top.axi_##n##___05Fwlast, &top.axi_##n##___05Frready,   \
         &top.axi_##n##___05Fbready, &top.axi_##n##___05Faraddr, &top.axi_##n##___05Fawaddr, \
         &top.axi_##n##___05Fwdata, &top.axi_##n##___05Farready, &top.axi_##n##___05Fawready, \
         &top.axi_##n##___05Fwready, &top.axi_##n##___05Frvalid, &top.axi_##n##___05Frresp,  \
         &top.axi_##n##___05Frlast, &top.axi_##n##___05Fbvalid, &top.axi_##n##___05Fbresp,   \
         &top.axi_##n##___05Frdata},                                                       \
        &settings, n);
        AXI_PORT(0)
        AXI_PORT(1)
#undef AXI_PORT
    }

    void edge(bool reset) {
        for (Port &port : ports) {
            if (reset) {
                port.clear();
            } else {
                port.edge();
            }
        }
    }

    void offer() {
        for (Port &port : ports) port.offer();
    }

private:
    Port ports[PORTS];
};

}  // namespace axi
