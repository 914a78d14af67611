import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree, saturated, tree_levels
from sim.bench import Bench


class Tree(wiring.Component):
    """Value k is ``zeros[k]`` places up and at most ``largest``."""

    def __init__(self, zeros, bits, largest):
        self.zeros, self.largest = zeros, largest
        self.latency = tree_levels(len(zeros))
        total = sum(largest << z for z in zeros)
        super().__init__(
            {"i": In(data.ArrayLayout(bits, len(zeros))), "o": Out(total.bit_length())}
        )

    def elaborate(self, platform):
        m = Module()
        addends = [Addend(self.i[k], self.largest << z, z) for k, z in enumerate(self.zeros)]
        total = adder_tree(m, addends, "tree")
        assert total.largest == sum(self.largest << z for z in self.zeros)
        assert len(total.bits) + total.zeros == len(self.o)
        m.d.comb += self.o.eq(total.bits << total.zeros)
        return m


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 10, 16])
@pytest.mark.parametrize("zeros", [0, 2])
@pytest.mark.parametrize("largest", [31, 20])
def test_tree_sums_without_wrapping(count, zeros, largest):
    places = [zeros * (k % 2) + zeros for k in range(count)]
    rng = np.random.default_rng(count)
    vectors = rng.integers(0, largest, (40, count), endpoint=True)
    vectors[0], vectors[1] = 0, largest
    expected = (vectors << np.array(places)).sum(axis=1)
    dut = Tree(places, 5, largest)
    rtlil.convert(Tree(places, 5, largest))

    async def testbench(ctx):
        for now in range(len(vectors) + dut.latency):
            ctx.set(dut.i, vectors[min(now, len(vectors) - 1)].tolist())
            if dut.latency == 0:
                assert ctx.get(dut.o) == expected[now]
            *_, total = await ctx.tick().sample(dut.o)
            if now >= dut.latency:
                assert total == expected[now - dut.latency]

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
