import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.netlist import prove, synthesize
from quant.weight_formats import weight_format
from rtl.columns.column import Column
from rtl.columns.logarithmic import LogColumn, LogFormat, log_layout, log_operand, log_values
from rtl.columns.plan import lane_plan
from sim.bench import Bench

FORMATS = ("w3", "w4r", "w4", "log4", "log5")


def fields(value):
    """The operand of an activation."""
    exponent = max(int(value).bit_length() - 1, 0)
    half = int(value) >> exponent - 1 & 1 if exponent else 0
    return {"exponent": exponent, "half": half, "zero": int(value == 0)}


def run(dut, tiles, vectors):
    """Sums of ``vectors [tiles, words, lanes]`` with the weights of each tile, without a pause."""
    sums = []
    bits, (count, words) = dut.format.layout.size, vectors.shape[:2]

    def word(tile):
        return sum(c << n * bits for n, c in enumerate(dut.format.expand(tiles[tile]).tolist()))

    async def testbench(ctx):
        ctx.set(dut.word, word(0))
        ctx.set(dut.load, 1)
        await ctx.tick()
        for now in range(count * words + dut.latency + 1):
            tile, position = divmod(now, words)
            ctx.set(dut.switch, 1 << position if position < 2 and tile < count else 0)
            ctx.set(dut.load, position == 2 and tile + 1 < count)
            ctx.set(dut.word, word(min(tile + 1, count - 1)))
            if 0 < now <= count * words:
                vector = vectors.reshape(-1, dut.lanes)[now - 1]
                ctx.set(dut.vector, [fields(a) for a in vector])
            _, _, total = await ctx.tick().sample(dut.sum)
            if now > dut.latency:
                sums.append(total)

    Bench(dut).run(testbench)
    return np.array(sums).reshape(count, words)


@pytest.mark.parametrize("name", FORMATS)
def test_lane_for_all_operands(name):
    """Every code of a weight with every logarithmic activation."""
    fmt = LogFormat(weight_format(name))
    codes = np.arange(1 << fmt.format.bits)[:, None]
    values = log_values(8)
    vectors = np.tile(values[None, :, None], (len(codes), 1, 1))
    total = run(LogColumn(1, fmt, 8), codes, vectors)
    assert np.array_equal(total, [LogColumn.model(fmt, 8, c, vectors[0]) for c in codes])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("bits", [4, 8])
def test_sums_are_those_of_the_linear_column(name, bits):
    """But for what folding adds, which depends on the weights only."""
    fmt, plan = LogFormat(weight_format(name)), lane_plan(name)
    rng = np.random.default_rng(bits)
    tiles = rng.integers(0, 1 << fmt.format.bits, (3, 5))
    vectors = rng.choice(log_values(bits), (3, 6, 5))
    total = run(LogColumn(5, fmt, bits), tiles, vectors)
    linear = Column.model(plan, bits, tiles[:, None], vectors)[..., 0]
    linear -= plan.code_excess(tiles, bits).sum(axis=1)[:, None]
    negative = np.count_nonzero(fmt.format.decode(tiles) < 0, axis=1)
    fold = (1 << fmt.product_bits(bits)) - 1
    assert np.array_equal(total - fold * negative[:, None], linear)


class Encoder(wiring.Component):
    i: In(8)
    o: Out(log_layout(8))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.as_value().eq(log_operand(self.i))
        return m


def test_operand():
    """Leading one and next bit of every activation; exact for logarithmic ones."""
    dut = Encoder()

    async def testbench(ctx):
        for value in range(256):
            ctx.set(dut.i, value)
            assert {name: ctx.get(dut.o)[name] for name in fields(0)} == fields(value)

    Bench(dut).run(testbench)
    for value in log_values(8).tolist():
        code = fields(value)
        assert (1 - code["zero"]) * (2 + code["half"]) << code["exponent"] >> 1 == value


def test_netlist_equals_rtl():
    fmt = LogFormat(weight_format("log4"))
    netlist = synthesize(LogColumn(2, fmt, 4))
    proof = prove(LogColumn(2, fmt, 4), netlist)
    assert proof.equal, proof.unproven
    assert "DSP48" not in netlist


def test_other_sizes():
    with pytest.raises(ValueError, match=r"sp2: 5 is neither 2\*\*e nor 1.5 \* 2\*\*e"):
        LogFormat(weight_format("sp2"))


def test_conversion():
    rtlil.convert(LogColumn(3, LogFormat(weight_format("log5")), 8))
