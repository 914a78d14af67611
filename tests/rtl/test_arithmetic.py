import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import adder_tree, saturated, tree_levels
from sim.bench import Bench


class Tree(wiring.Component):
    def __init__(self, count, shape):
        self.count = count
        self.latency = tree_levels(count)
        width = shape.width + self.latency if hasattr(shape, "width") else shape + self.latency
        total = signed(width) if hasattr(shape, "width") else width
        super().__init__(
            {"i": In(data.ArrayLayout(shape, count)), "enable": In(1), "o": Out(total)}
        )

    def elaborate(self, platform):
        m = Module()
        values = [self.i[k] for k in range(self.count)]
        tree = adder_tree(m, values, self.enable, "tree")
        assert len(tree) == len(self.o)
        m.d.comb += self.o.eq(tree)
        return m


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("shape", [6, signed(6)], ids=["unsigned", "signed"])
def test_tree_sums_without_wrapping(count, shape):
    low, high = (-32, 31) if shape != 6 else (0, 63)
    rng = np.random.default_rng(count)
    vectors = rng.integers(low, high, (60, count), endpoint=True)
    vectors[0], vectors[1] = low, high
    enable = rng.random(200) < 0.7
    dut = Tree(count, shape)
    rtlil.convert(dut)

    async def testbench(ctx):
        fed, enabled = [], 0
        for n, on in enumerate(enable):
            if len(fed) == len(vectors):
                break
            ctx.set(dut.i, vectors[len(fed)].tolist())
            ctx.set(dut.enable, bool(on))
            _, _, total = await ctx.tick().sample(dut.o)
            # The tree holds what was fed `latency` enabled cycles ago.
            if dut.latency == 0:
                assert total == vectors[len(fed)].sum()
            elif enabled >= dut.latency:
                assert total == fed[enabled - dut.latency], n
            if on:
                fed.append(vectors[len(fed)].sum())
                enabled += 1
        assert enabled > 50

    Bench(dut).run(testbench)


class Saturate(wiring.Component):
    i: In(signed(9))
    low: In(signed(7))
    high: In(signed(7))
    o: Out(6)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(saturated(self.i, self.low, self.high, 6))
        return m


def test_saturation():
    dut = Saturate()

    async def testbench(ctx):
        for low, high in ((-32, 31), (0, 63), (0, 0), (-1, 5)):
            ctx.set(dut.low, low)
            ctx.set(dut.high, high)
            for value in range(-256, 256, 3):
                ctx.set(dut.i, value)
                assert ctx.get(dut.o) == min(max(value, low), high) & 63

    Bench(dut).run(testbench)


def test_tree_levels():
    assert [tree_levels(count) for count in (1, 2, 3, 4, 5, 64)] == [0, 1, 2, 2, 3, 6]
