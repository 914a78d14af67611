"""Tables of multiples, and the processing elements of an output channel."""

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from boards.netlist import synthesize
from rtl.arithmetic import tree_levels
from rtl.codebook.column import CodebookColumn
from rtl.codebook.multiples import ENTRIES, ENTRY_BITS, VALUE_BITS, VALUES, Multiples

HALF = 1 << VALUE_BITS - 1
PATTERN = (1 << VALUE_BITS) - 1


def fields(values):
    return [int(value) & PATTERN for value in values]


@pytest.mark.parametrize("values", [[-HALF, HALF - 1, 0], [3, -7, 100]])
@pytest.mark.parametrize("wait", [1, 4])
def test_multiples(values, wait):
    """All entries are written, and ``ready`` comes with the last."""
    dut = Multiples()
    written = np.zeros((VALUES, ENTRIES), np.int64)
    cycles = []

    async def testbench(ctx):
        ctx.set(dut.values, fields(values))
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(wait)
            ctx.set(dut.go, 1)
            for cycle in range(ENTRIES + 4):
                assert ctx.get(dut.ready) == (cycle >= ENTRIES)
                *_, o = await ctx.tick().sample(dut.o)
                ctx.set(dut.go, 0)
                if o.write:
                    written[:, o.digit] = list(o.entries)
                    cycles.append(cycle)
        assert cycles == 2 * list(range(1, ENTRIES + 1))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert np.array_equal(written, Multiples.model(np.array(values)))
    assert written.min() >= 0 and written.max() < 1 << ENTRY_BITS


def run(dut, values, tiles, vectors):
    """Sums of the hardware: each tile of codes takes the same vectors, one a cycle."""
    sums = []
    count = len(vectors)

    async def testbench(ctx):
        ctx.set(dut.multiples.write, 1)
        entries = Multiples.model(values)
        for digit in range(ENTRIES):
            ctx.set(dut.multiples.digit, digit)
            ctx.set(dut.multiples.entries, entries[:, digit].tolist())
            await ctx.tick()
        ctx.set(dut.multiples.write, 0)
        words = [sum(int(code) << 2 * n for n, code in enumerate(tile)) for tile in tiles]
        ctx.set(dut.word, words[0])
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        for cycle in range(count * len(tiles) + dut.latency + 1):
            # The switch comes a cycle before the first vector that it is for.
            tile, vector = divmod(cycle - 1, count)
            if cycle > 0:
                ctx.set(dut.vector, vectors[vector].tolist())
            ctx.set(dut.switch, cycle % count == 0)
            ctx.set(dut.load, cycle % count == 1 and tile + 1 < len(tiles))
            if 0 <= tile + 1 < len(tiles):
                ctx.set(dut.word, words[tile + 1])
            *_, value = await ctx.tick().sample(dut.sum)
            sums.append(value)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return np.array(sums[1 + dut.latency :]).reshape(len(tiles), count)


@pytest.mark.parametrize("operands, bits", [(5, 2), (20, 8), (60, 8), (10, 16)])
def test_sums(operands, bits):
    rng = np.random.default_rng(operands)
    dut = CodebookColumn(operands, bits)
    tiles = rng.integers(0, 4, (3, operands))
    vectors = rng.integers(0, 1 << bits, (7, operands))
    for values in (rng.integers(-HALF, HALF, VALUES), np.array([-1, 0, 5])):
        expected = CodebookColumn.model(values, tiles[:, None], vectors)
        assert np.array_equal(run(dut, values, tiles, vectors), expected[..., 0])


@pytest.mark.parametrize("value", [-HALF, HALF - 1])
def test_widths_suffice_and_are_reached(value):
    """All elements with the largest activation and one extreme value."""
    dut = CodebookColumn(20, 8)
    tiles, vectors = np.full((1, 20), 2), np.full((3, 20), 255)
    sums = run(dut, np.array([0, value, 0]), tiles, vectors)
    assert (sums == 20 * 255 * value).all()
    if value < 0:
        assert int(-sums[0, 0] - 1).bit_length() == len(dut.sum) - 1


@pytest.mark.parametrize("operands, bits, digits", [(20, 8, 3), (5, 2, 1), (10, 16, 4)])
def test_latency(operands, bits, digits):
    assert CodebookColumn.digits(operands, bits) == digits
    found = CodebookColumn.column_latency(operands, bits)
    assert found == 3 + tree_levels(operands) + tree_levels(3 * digits)


@pytest.mark.parametrize("family", [None, "xc7"])
def test_conversion(family):
    rtlil.convert(CodebookColumn(20, 8, family))


def test_netlist_has_tables_and_no_multiplier():
    """Products come from memory of look-up tables, whose three read ports share cells."""
    netlist = synthesize(CodebookColumn(6, 8, "xc7"))
    assert "DSP48" not in netlist and "RAMB" not in netlist
    # Two bits a read port and cell.
    assert netlist.count("RAM32M ") == VALUES * ENTRY_BITS // 2
    # A gate is a register's synchronous reset.
    assert netlist.count("FDRE ") > 6 * 8 * VALUES
