import random

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.counters import COUNTED
from rtl.host import HostBus, HostPort
from rtl.isa import VERSION
from rtl.packing import pack, pieces, unpack
from rtl.registers import ID, REGION_SHIFT, Control, Region, Register, State
from rtl.store import Store
from sim.bench import Bench

# Words of one piece, of two, of a power of two that their bits do not fill, and of a whole one.
SIZES = {
    Region.INSTRUCTIONS: (16, 64),
    Region.WEIGHTS: (20, 72),
    Region.PARAMETERS: (32, 17),
    Region.FEATURES: (8, 256),
}
FINGERPRINT = 0xDEADBEEF


class Memories(wiring.Component):
    """The port with a memory at each region."""

    def __init__(self):
        self.stores = {region: Store(bits, depth) for region, (depth, bits) in SIZES.items()}
        sizes = {region: (store.address_bits, store.bits) for region, store in self.stores.items()}
        self.port = HostPort(sizes, FINGERPRINT)
        super().__init__(
            {
                "bus": In(HostBus()),
                "state": In(3),
                "error": In(8),
                "pc": In(32),
                "cycles": In(32),
                "runs": In(32),
                "control": Out(3),
                "stop_after": Out(32),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = self.port
        for region, store in self.stores.items():
            name = region.name.lower()
            m.submodules[name] = store
            wiring.connect(m, getattr(self.port, name), store.host)
        wiring.connect(m, wiring.flipped(self.bus), self.port.bus)
        for name in ("state", "error", "pc", "cycles", "runs"):
            m.d.comb += getattr(self.port, name).eq(getattr(self, name))
        for name in ("control", "stop_after", "irq"):
            m.d.comb += getattr(self, name).eq(getattr(self.port, name))
        return m


async def write(ctx, bus, address, values):
    """Consecutive addresses, one a cycle."""
    ctx.set(bus.write, 1)
    for n, value in enumerate(values):
        ctx.set(bus.address, address + n)
        ctx.set(bus.write_data, int(value))
        await ctx.tick()
    ctx.set(bus.write, 0)


async def read(ctx, bus, addresses):
    """One read a cycle; the answers, which must come ``read_latency`` cycles later."""
    latency = HostPort.read_latency
    values = []
    for n in range(len(addresses) + latency):
        reading = n < len(addresses)
        ctx.set(bus.read, reading)
        if reading:
            ctx.set(bus.address, addresses[n])
        *_, valid, value = await ctx.tick().sample(bus.read_valid, bus.read_data)
        assert valid == (n >= latency)
        if valid:
            values.append(value)
    *_, valid = await ctx.tick().sample(bus.read_valid)
    assert not valid
    return values


def base(region):
    return region.value << REGION_SHIFT


def contents(region, seed=0):
    """Random words as pieces ``[words, pieces]``, the first all ones."""
    depth, bits = SIZES[region]
    rng = np.random.default_rng(seed + region.value)
    fields = rng.integers(0, 2, (depth, bits))
    fields[0] = 1
    return pack(fields, 1)


def test_all_memories():
    dut = Memories()

    async def testbench(ctx):
        for region in SIZES:
            await write(ctx, dut.bus, base(region), contents(region).ravel())
        for region in reversed(SIZES):
            words = contents(region)
            addresses = [base(region) + n for n in range(words.size)]
            assert await read(ctx, dut.bus, addresses) == words.ravel().tolist()
        # In any order, one region after the other.
        everything = [
            (base(region) + n, int(value))
            for region in SIZES
            for n, value in enumerate(contents(region).ravel())
        ]
        random.Random(1).shuffle(everything)
        assert await read(ctx, dut.bus, [a for a, _ in everything]) == [v for _, v in everything]

    Bench(dut).run(testbench)


@pytest.mark.parametrize("region", [r for r, (_, bits) in SIZES.items() if bits > 32])
def test_a_word_is_stored_with_its_last_piece(region):
    dut = Memories()
    words = contents(region)
    count = words.shape[1]

    async def testbench(ctx):
        start = base(region) + 2 * count
        await write(ctx, dut.bus, start, words[2])
        await write(ctx, dut.bus, start, words[3][:-1])
        # Reads may come between.
        span = [start + n for n in range(count)]
        assert await read(ctx, dut.bus, span) == words[2].tolist()
        await write(ctx, dut.bus, start + count - 1, words[3][-1:])
        assert await read(ctx, dut.bus, span) == words[3].tolist()

    Bench(dut).run(testbench)


@pytest.mark.parametrize("state", list(State))
def test_memories_rest_while_the_machine_runs(state):
    dut = Memories()

    async def testbench(ctx):
        for region in SIZES:
            await write(ctx, dut.bus, base(region), contents(region).ravel())
            # So that a port that is not read would not show 0 by itself.
            assert await read(ctx, dut.bus, [base(region)]) != [0]
        ctx.set(dut.state, state)
        for region in SIZES:
            word = contents(region, 9)[1]
            await write(ctx, dut.bus, base(region), word)
            seen = await read(ctx, dut.bus, [base(region)])
            expected = 0 if state is State.RUNNING else int(word[0])
            assert seen == [expected]
        ctx.set(dut.state, State.HALTED)
        for region in SIZES:
            kept = contents(region)[0] if state is State.RUNNING else contents(region, 9)[1]
            span = [base(region) + n for n in range(len(kept))]
            assert await read(ctx, dut.bus, span) == kept.tolist()

    Bench(dut).run(testbench)


def test_registers():
    dut = Memories()

    async def testbench(ctx):
        values = {"error": 0xA5, "pc": 0x12345678, "cycles": 2**32 - 1, "runs": 77}
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        await write(ctx, dut.bus, Register.STOP_AFTER, [0xFFFF0001])
        expected = {
            Register.ID: ID,
            Register.VERSION: VERSION,
            Register.FINGERPRINT: FINGERPRINT,
            Register.CONTROL: 0,
            Register.PC: 0x12345678,
            Register.CYCLES: 2**32 - 1,
            Register.RUNS: 77,
            Register.STOP_AFTER: 0xFFFF0001,
            Register.INTERRUPT: 0,
            # This one has no counters.
            **dict.fromkeys(COUNTED, 0),
        }
        # Also while the machine runs.
        for state in State:
            ctx.set(dut.state, state)
            expected[Register.STATUS] = state | 0xA5 << 8
            got = await read(ctx, dut.bus, list(Register))
            assert dict(zip(Register, got)) == expected
        # No register, no region: 0.
        nothing = [len(Register), 15, 16, 18, 1 << 22, 5 << REGION_SHIFT, 7 << REGION_SHIFT]
        assert await read(ctx, dut.bus, nothing) == [0] * len(nothing)

    Bench(dut).run(testbench)


def test_control_is_a_pulse():
    dut = Memories()

    async def testbench(ctx):
        for state in (State.IDLE, State.RUNNING):
            ctx.set(dut.state, state)
            for bits in (Control.START, Control.RESUME, Control.STOP, 7):
                await write(ctx, dut.bus, Register.CONTROL, [bits])
                assert ctx.get(dut.control) == bits
                await ctx.tick()
                assert ctx.get(dut.control) == 0
        # Registers that cannot be written, and what is beyond them.
        for address in (Register.ID, Register.CYCLES, 19, base(Region.WEIGHTS) + 3):
            await write(ctx, dut.bus, address, [7])
            assert ctx.get(dut.control) == ctx.get(dut.stop_after) == 0

    Bench(dut).run(testbench)


def test_pieces_of_words():
    assert [pieces(bits) for bits in (1, 32, 33, 64, 65, 96, 128, 129, 320)] == [
        *(1, 1, 2, 2, 4, 4, 4, 8, 16)
    ]
    rng = np.random.default_rng(0)
    for bits, count in ((1, 1), (3, 16), (8, 8), (31, 3), (42, 1), (16, 20)):
        fields = rng.integers(0, 1 << bits, (5, count))
        packed = pack(fields, bits)
        assert packed.shape == (5, pieces(bits * count))
        assert np.array_equal(unpack(packed, bits, count), fields)
    assert unpack(pack(np.array([[-1, -8]]), 4), 4, 2).tolist() == [[15, 8]]


def test_conversion():
    rtlil.convert(Memories())


@pytest.mark.parametrize("allowed", (0, 1))
def test_the_interrupt_is_a_level_that_the_host_allows(allowed):
    dut = Memories()
    seen = {}

    async def testbench(ctx):
        await write(ctx, dut.bus, Register.INTERRUPT, [allowed])
        assert await read(ctx, dut.bus, [Register.INTERRUPT.value]) == [allowed]
        for state in State:
            ctx.set(dut.state, state.value)
            await ctx.tick()
            await ctx.tick()
            seen[state] = ctx.get(dut.irq)

    Bench(dut).run(testbench)
    waiting = {State.PAUSED, State.HALTED, State.FAILED}
    assert seen == {state: allowed and state in waiting for state in State}
