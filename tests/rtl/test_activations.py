import itertools

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.activations import ActivationFetch
from rtl.features import FeatureMemory
from rtl.isa import LAYOUTS, LEVELS, Nest, Opcode
from rtl.nest import LoopNest, nest_settings
from rtl.store import HostAccess
from sim.bench import Bench, plain

LANES, CODE_BITS, ADDRESS_BITS = 2, 5, 7
LEVELS_OF_WALK = LEVELS[Nest.ACTIVATION]
SHAPES = [(1, 1), (4, 1), (2, 2), (1, 3), (2, 3), (4, 3), (2, 4)]


class Fetching(wiring.Component):
    """The block between a nest and the feature memory, as in the machine."""

    def __init__(self, groups, words):
        self.nest = LoopNest(LEVELS_OF_WALK, ADDRESS_BITS, True)
        self.features = FeatureMemory(LANES * CODE_BITS, 1 << ADDRESS_BITS, groups, words)
        self.fetch = ActivationFetch(groups, words, LANES, CODE_BITS, ADDRESS_BITS)
        super().__init__(
            {
                "nest_settings": In(nest_settings(LEVELS_OF_WALK, ADDRESS_BITS, True)),
                "start": In(1),
                "bounds": In(LAYOUTS[Opcode.BOUNDS]),
                "vector": In(LAYOUTS[Opcode.VECTOR]),
                "host": In(HostAccess(ADDRESS_BITS, LANES * CODE_BITS)),
                "o": Out(stream.Signature(self.fetch.o.p.shape())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.nest, m.submodules.features = self.nest, self.features
        m.submodules.fetch = self.fetch
        wiring.connect(m, self.nest.o, self.fetch.i)
        wiring.connect(m, wiring.flipped(self.host), self.features.host)
        wiring.connect(m, self.fetch.o, wiring.flipped(self.o))
        m.d.comb += [
            self.nest.settings.eq(self.nest_settings),
            self.nest.start.eq(self.start),
            self.fetch.bounds.eq(self.bounds),
            self.fetch.vector.eq(self.vector),
            self.features.read.eq(self.fetch.read),
            self.features.index.eq(self.fetch.index),
            self.fetch.word.eq(self.features.word),
        ]
        return m


def walk(origin, columns, *loops):
    """Settings of ACTIVATION that begin at ``(row, column)`` of a map at address 0.

    ``loops`` are (iterations, rows, columns): how far a level leads, innermost first.
    """
    row, column = origin
    levels, back = [], np.zeros(2, np.int64)
    for count, *way in [*loops, *[(1, 0, 0)] * (LEVELS_OF_WALK - len(loops))]:
        step = np.array(way) - back
        levels.append(
            {
                "last": count - 1,
                "step": int(step[0] * columns + step[1]) % (1 << ADDRESS_BITS),
                "row": int(step[0]),
                "column": int(step[1]),
            }
        )
        back = back + (count - 1) * np.array(way)
    address = (row * columns + column) % (1 << ADDRESS_BITS)
    return {"address": address, "row": row, "column": column, "levels": levels}


def fetched(shape, runs, stall=0.0, seed=0):
    """Play runs of (nest, bounds, vector) against the model; the codes of each run."""
    dut = Fetching(*shape)
    bench = Bench(dut, seed=seed)
    memory = np.random.default_rng(seed).integers(0, 1 << CODE_BITS, (1 << ADDRESS_BITS, LANES))
    expected = []
    for settings, bounds, vector in runs:
        steps = LoopNest.model(settings, ADDRESS_BITS)
        settings_of = {"bounds": bounds, "vector": vector}
        expected.append(ActivationFetch.model(shape, settings_of, steps, memory))

    async def testbench(ctx):
        ctx.set(dut.host.write, 1)
        for address, codes in enumerate(memory):
            ctx.set(dut.host.address, address)
            ctx.set(dut.host.write_data, int((codes << CODE_BITS * np.arange(LANES)).sum()))
            await ctx.tick()
        ctx.set(dut.host.write, 0)
        for (settings, bounds, vector), (codes, inside) in zip(runs, expected):
            # Settings appear a cycle before the start, as the sequencer has them.
            ctx.set(dut.nest_settings, settings)
            ctx.set(dut.bounds, bounds)
            ctx.set(dut.vector, vector)
            await ctx.tick()
            ctx.set(dut.start, 1)
            *_, begin = await ctx.tick().sample(bench.cycle)
            ctx.set(dut.start, 0)
            received = await bench.receive(ctx, dut.o, len(codes), stall)
            assert [word["codes"] for word in received.values] == plain(codes)
            assert [word["inside"] for word in received.values] == plain(inside[..., 0])
            if stall == 0:
                first = begin + dut.nest.latency + dut.fetch.latency
                assert received.cycles == list(range(first, first + len(codes)))

    bench.run(testbench)
    return memory, [codes for codes, _ in expected]


def steps_of_words(words):
    """Steps that put the words of a vector into different banks, on both sides of zero."""
    return {1: (0, 1, -6), 2: (1, -1, 5), 3: (1, -1, 7, -3), 4: (1, -1, 9, -5)}[words]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_words_of_every_group(shape, stall):
    """Vectors that hang over every side of the map; every group shift, group steps of any sign."""
    rows, columns = 3, 11
    # Two rows of nine, from two rows and three words outside to beyond the other corner.
    settings = walk((-2, -3), columns, (5, 0, 4), (4, 2, 1))
    bounds = {"rows": rows, "columns": columns}
    steps = steps_of_words(shape[1])
    group_steps = itertools.cycle((3, -4, 1, 0, -7))
    runs = [
        (settings, bounds, {"word_step": step, "group_step": group_step, "group_shift": shift})
        for (step, shift), group_step in zip(itertools.product(steps, range(3)), group_steps)
    ]
    fetched(shape, runs[1::2] if stall else runs[::2], stall, seed=shape[0])


@pytest.mark.parametrize("groups, words, shift", [(1, 3, 0), (2, 3, 0), (2, 3, 1), (4, 2, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_of_a_convolution(groups, words, shift, stride):
    """Kernel rows of three columns over a padded map, groups that share a pixel or do not."""
    rows, width, pitch, padding = 4, 5, 2, 1
    columns = width * pitch
    pixels = ((groups - 1) >> shift) + 1
    across = -(-((width + 2 * padding - 3) // stride + 1) // pixels)
    down = (rows + 2 * padding - 3) // stride + 1
    vectors = -(-3 * pitch // words)
    settings = walk(
        (-padding, -padding * pitch),
        columns,
        (vectors, 0, words),
        (3, 1, 0),
        (across, 0, pixels * stride * pitch),
        (down, stride, 0),
    )
    bounds = {"rows": rows, "columns": columns}
    vector = {"word_step": 1, "group_step": stride * pitch, "group_shift": shift}
    memory, (codes,) = fetched((groups, words), [(settings, bounds, vector)])

    # The same by numpy's padding: word by word of the row, beyond it the padding.
    picture = memory[: rows * columns].reshape(rows, columns, LANES)
    padded = np.pad(picture, ((padding, padding), (padding * pitch, 64), (0, 0)))
    codes = codes.reshape(down, across, 3, vectors, groups, words, LANES)
    for y, x, kernel_row, v, group, j in np.ndindex(codes.shape[:-1]):
        pixel = x * pixels + (group >> shift)
        word = padded[y * stride + kernel_row, pixel * stride * pitch + v * words + j]
        assert np.array_equal(codes[y, x, kernel_row, v, group, j], word)


def test_widest_coordinates():
    """Borders of the largest map, and columns that count beyond the width of a coordinate."""
    bounds = {"rows": 4095, "columns": 4095}
    row = [-4096, -1, 0, 4094, 4095, 4094, 0, 0, 0]
    column = [0, 0, 0, 4094, 0, 4093, -4096, 4095, -1]
    groups, words = 4, 2
    memory = np.full((1 << ADDRESS_BITS, LANES), 20)
    played = {"row": np.array(row), "column": np.array(column), "address": np.zeros(len(row), int)}
    flags = {"first": [0] * LEVELS_OF_WALK, "last": [0] * LEVELS_OF_WALK, "index": 0}
    steps = [{"address": 0, "row": r, "column": c, **flags} for r, c in zip(row, column)]
    for step, group_step in ((1, 4095), (-4095, 4095), (4095, -4096), (-1, -4096)):
        vector = {"word_step": step, "group_step": group_step, "group_shift": 0}
        settings = {"bounds": bounds, "vector": vector}
        fetch = ActivationFetch(groups, words, LANES, CODE_BITS, ADDRESS_BITS)
        codes, inside = fetch.model((groups, words), settings, played, memory)
        rows = [settings | {"o.ready": 1, "word": [[20 << 5 | 20] * 2] * groups}, {}]
        rows += [{"i.valid": 1, "i.payload": step} for step in steps]
        rows += [{"i.valid": 0}] * fetch.latency
        shown = Bench(fetch).played(rows, ["o.payload", "o.valid"])
        got = [word for word, valid in zip(shown["o.payload"], shown["o.valid"]) if valid]
        assert [word["codes"] for word in got] == plain(codes)
        assert [word["inside"] for word in got] == plain(inside[..., 0])
    # Column 4095 is outside; what counts beyond it comes out at -4096.
    assert inside[:, 0, 0].tolist() == [0, 0, 1, 1, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("shape", SHAPES)
def test_conversion(shape):
    rtlil.convert(Fetching(*shape))
