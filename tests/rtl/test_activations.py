import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.activations import ActivationFetch
from rtl.isa import LAYOUTS, Opcode
from rtl.nest import LoopNest, nest_settings
from rtl.store import HostAccess, Store
from sim.bench import Bench, plain

LANES, CODE_BITS, LEVELS, ADDRESS_BITS = 3, 5, 3, 6
ROWS, COLUMNS = 3, 4


class Fetching(wiring.Component):
    """The block between a nest and a memory, as in the machine."""

    def __init__(self):
        self.nest = LoopNest(LEVELS, ADDRESS_BITS, True)
        self.store = Store(LANES * CODE_BITS, 1 << ADDRESS_BITS)
        self.fetch = ActivationFetch(LANES, CODE_BITS, LEVELS, ADDRESS_BITS)
        super().__init__(
            {
                "nest_settings": In(nest_settings(LEVELS, ADDRESS_BITS, True)),
                "start": In(1),
                "bounds": In(LAYOUTS[Opcode.BOUNDS]),
                "host": In(HostAccess(ADDRESS_BITS, LANES * CODE_BITS)),
                "o": Out(stream.Signature(self.fetch.o.p.shape())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.nest, m.submodules.store = self.nest, self.store
        m.submodules.fetch = self.fetch
        wiring.connect(m, self.nest.o, self.fetch.i)
        wiring.connect(m, self.fetch.address, self.store.address)
        wiring.connect(m, self.store.word, self.fetch.word)
        wiring.connect(m, wiring.flipped(self.host), self.store.host)
        wiring.connect(m, self.fetch.o, wiring.flipped(self.o))
        m.d.comb += [
            self.nest.settings.eq(self.nest_settings),
            self.nest.start.eq(self.start),
            self.fetch.bounds.eq(self.bounds),
        ]
        return m


def window(padding):
    """Nest over a map with ``padding`` around it: whole map, twice."""
    width, height = COLUMNS + 2 * padding, ROWS + 2 * padding
    return {
        "address": (-padding * COLUMNS - padding) % 64,
        "row": -padding,
        "column": -padding,
        "levels": [
            {"last": width - 1, "step": 1, "row": 0, "column": 1},
            {
                "last": height - 1,
                "step": (COLUMNS - width + 1) % 64,
                "row": 1,
                "column": 1 - width,
            },
            {
                "last": 1,
                "step": (-(height - 1) * COLUMNS - width + 1) % 64,
                "row": 1 - height,
                "column": 1 - width,
            },
        ],
    }


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("fill", [0, -16, 15])
def test_padding_on_all_sides(padding, fill, stall):
    rng = np.random.default_rng(padding)
    memory = rng.integers(0, 1 << CODE_BITS, (64, LANES))
    dut = Fetching()
    bench = Bench(dut)
    settings = window(padding)
    bounds = {"rows": ROWS, "columns": COLUMNS, "fill": fill}
    steps = LoopNest.model(settings, ADDRESS_BITS)
    expected = ActivationFetch.model(
        CODE_BITS, bounds, steps["row"], steps["column"], memory[steps["address"]]
    )
    received = []

    async def testbench(ctx):
        ctx.set(dut.nest_settings, settings)
        ctx.set(dut.bounds, bounds)
        ctx.set(dut.host.write, 1)
        for address, codes in enumerate(memory):
            ctx.set(dut.host.address, address)
            ctx.set(dut.host.write_data, int((codes << CODE_BITS * np.arange(LANES)).sum()))
            await ctx.tick()
        ctx.set(dut.host.write, 0)
        ctx.set(dut.start, 1)
        *_, begin = await ctx.tick().sample(bench.cycle)
        ctx.set(dut.start, 0)
        received.append((begin, await bench.receive(ctx, dut.o, len(expected), stall)))

    bench.run(testbench)
    begin, words = received[0]
    assert words.values == plain(expected)
    # The model itself: numpy's padding.
    picture = memory[: ROWS * COLUMNS].reshape(ROWS, COLUMNS, LANES)
    edge = (padding, padding)
    padded = np.pad(picture, (edge, edge, (0, 0)), constant_values=fill & 31)
    assert np.array_equal(expected, np.concatenate([padded.reshape(-1, LANES)] * 2))
    if stall == 0:
        first = begin + dut.nest.latency + dut.fetch.latency
        assert words.cycles == list(range(first, first + len(expected)))


def test_widest_coordinates():
    bounds = {"rows": 4095, "columns": 4095, "fill": 1}
    row = np.array([-4096, -1, 0, 4094, 4095, 4094, 0])
    column = np.array([0, 0, 0, 4094, 0, 4095, -4096])
    steps = [
        {"address": 0, "row": r, "column": c, "first": [0] * 3, "last": [0] * 3, "index": 0}
        for r, c in zip(row, column)
    ]
    words = np.full((len(row), LANES), 20)
    fetch = ActivationFetch(LANES, CODE_BITS, LEVELS, ADDRESS_BITS)
    bench = Bench(fetch)
    memory = []

    async def store(ctx):
        for _ in row:
            await bench.receive(ctx, fetch.address, 1)
            memory.append(await bench.send(ctx, fetch.word, [0b101001010010100]))

    async def setup(ctx):
        ctx.set(fetch.bounds, bounds)
        await bench.send(ctx, fetch.i, steps)

    async def check(ctx):
        received = await bench.receive(ctx, fetch.o, len(row))
        assert received.values == plain(fetch.model(CODE_BITS, bounds, row, column, words))
        assert [w[0] for w in received.values] == [1, 1, 20, 20, 1, 1, 1]

    bench.run(setup, store, check)


def test_conversion():
    rtlil.convert(Fetching())
    rtlil.convert(ActivationFetch(LANES, CODE_BITS, LEVELS, ADDRESS_BITS))
