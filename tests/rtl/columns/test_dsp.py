import re

import numpy as np
import pytest
from amaranth.back import rtlil

from boards.netlist import synthesize
from quant.weight_formats import FORMATS
from rtl.columns.column import Column
from rtl.columns.dsp import DspPair, Folding, Packing
from rtl.columns.plan import lane_plan
from sim.bench import Bench


@pytest.mark.parametrize(
    "name, bits, accumulations",
    [("w3", 8, 4), ("w4r", 8, 4), ("w4", 8, 4), ("log5", 8, 1), ("log5", 4, 4), ("w4", 10, 1)],
)
def test_packing_is_exact(name, bits, accumulations):
    """All extremes of two products, added as often as is allowed, come apart again."""
    packing = Packing(8, lane_plan(name), bits)
    assert packing.accumulations == accumulations
    field = packing.field(accumulations)
    largest, top = int(FORMATS[name].levels[-1]), (1 << bits) - 1
    half = 1 << field - 1
    for first in (-largest, -1, 0, 1, largest):
        for second in (-largest, 0, largest):
            pair = first + (second << field)
            assert -(1 << packing.weight_bits(accumulations) - 1) <= pair < 1 << 24
            total = accumulations * pair * top + half + (half << field)
            assert (total & (1 << field) - 1) - half == accumulations * first * top
            assert (total >> field) - half == accumulations * second * top


def test_one_more_accumulation_would_not_be_exact_or_not_fit():
    packing = Packing(8, lane_plan("w4"), 8)
    assert packing.weight_bits(packing.accumulations) == 25
    assert packing.weight_bits(2 * packing.accumulations) > 25


def test_too_wide():
    with pytest.raises(ValueError, match="two products of log5 weights and 12-bit activations do"):
        Packing(8, lane_plan("log5"), 12)


@pytest.mark.parametrize("name, bits", [("w4r", 8), ("log5", 8), ("sp2", 4)])
@pytest.mark.parametrize("lanes", [4, 16])
def test_folding(name, bits, lanes):
    """What folding adds to a column's sum, less the bias of the fields."""
    plan = lane_plan(name)
    packing = Packing(lanes, plan, bits)
    rng = np.random.default_rng(lanes)
    codes = rng.integers(0, 1 << plan.format.bits, (20, lanes))
    words = plan.expand(codes)
    bias = packing.chains << packing.field(packing.accumulations) - 1
    expected = (plan.code_excess(codes, bits).sum(axis=1) - bias) % (1 << packing.sum_bits)
    dut = Folding(packing)

    async def testbench(ctx):
        for now in range(len(words) + packing.folding_delay):
            word = words[min(now, len(words) - 1)].tolist()
            ctx.set(dut.word, sum(code << n * plan.lane_bits for n, code in enumerate(word)))
            _, _, folding = await ctx.tick().sample(dut.folding)
            if now >= packing.folding_delay:
                assert folding == expected[now - packing.folding_delay]

    Bench(dut).run(testbench)


@pytest.mark.parametrize("name, bits", [("w4r", 8), ("w4", 8), ("log5", 8), ("sp2", 4)])
def test_sums_are_those_of_the_other_columns(name, bits):
    plan = lane_plan(name)
    packing = Packing(8, plan, bits)
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 1 << plan.format.bits, (2, 8))
    codes[1, :4] = int(np.argmax(plan.format.magnitudes)) | 1 << plan.sign
    vectors = rng.integers(0, 1 << bits, (30, 8))
    vectors[3], vectors[4] = 0, (1 << bits) - 1
    expected = Column.model(plan, bits, codes, vectors)
    bias = packing.chains << packing.field(packing.accumulations) - 1
    foldings = plan.code_excess(codes, bits).sum(axis=1) - bias
    dut = DspPair(packing)

    async def testbench(ctx):
        for column in (0, 1):
            lanes = plan.expand(codes[column]).tolist()
            ctx.set(dut.word, sum(code << n * plan.lane_bits for n, code in enumerate(lanes)))
            ctx.set(dut.folding, int(foldings[column]) % (1 << packing.sum_bits))
            ctx.set(dut.load, 1)
            ctx.set(dut.folding_load, 1)
            await ctx.tick()
        ctx.set(dut.load, 0)
        ctx.set(dut.folding_load, 0)
        ctx.set(dut.switch, 1)
        ctx.set(dut.folding_switch, 1)
        await ctx.tick()
        ctx.set(dut.switch, 2)
        ctx.set(dut.folding_switch, 0)
        for now in range(len(vectors) + packing.latency):
            vector = vectors[min(now, len(vectors) - 1)]
            operands = [{"x1": int(a)} for a in vector]
            ctx.set(dut.vector, operands)
            _, _, sums = await ctx.tick().sample(dut.sums)
            ctx.set(dut.switch, 0)
            if now >= packing.latency:
                mask = (1 << packing.sum_bits) - 1
                got = [sums & mask, sums >> packing.sum_bits]
                assert got == expected[now - packing.latency].tolist()

    Bench(dut).run(testbench)


def test_half_a_multiplier_a_product():
    """Multiplication, and the addition to the chain, in one DSP48 a lane of both columns."""
    netlist = synthesize(DspPair(Packing(8, lane_plan("w4r"), 8)))
    assert len(re.findall(r"^  DSP48E1 ", netlist, re.MULTILINE)) == 8
    assert netlist.count(".PREG(1'h1)") == 8


def test_conversion():
    rtlil.convert(DspPair(Packing(4, lane_plan("w3"), 4)))
    rtlil.convert(Folding(Packing(4, lane_plan("log5"), 4)))
