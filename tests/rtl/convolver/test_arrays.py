"""Processing elements that shift and such that multiply: the same interface, one test."""

import numpy as np
import pytest
from amaranth.back import rtlil

from boards.netlist import prove, synthesize
from rtl.convolver.multiply import MultiplyArrays
from rtl.convolver.plan import SHIFT_PLANS, WIDTHS
from rtl.convolver.shift import ShiftArrays
from rtl.verilog import to_verilog
from sim.bench import Bench


class Shifting:
    """Arrays of n bits, with what a test has to know of them."""

    def __init__(self, bits):
        self.plan = SHIFT_PLANS[bits]
        levels = self.plan.format.levels
        self.values = np.unique(np.concatenate([levels, -levels]))
        self.code_bits = self.plan.lane_bits

    def arrays(self, channels, size, bits, family=None):
        return ShiftArrays(channels, size, self.plan, bits, family)

    def codes(self, weights):
        return self.plan.expand(self.plan.format.encode(weights))

    def model(self, weights, windows, bits):
        return ShiftArrays.model(self.plan, bits, self.plan.format.encode(weights), windows)

    def excess(self, weights, bits):
        return self.plan.excess(weights, bits)


class Multiplying:
    """The same for multipliers."""

    def __init__(self, bits):
        self.code_bits = bits
        self.values = np.arange(-(1 << bits - 1), 1 << bits - 1)

    def arrays(self, channels, size, bits, family=None):
        return MultiplyArrays(channels, size, self.code_bits, bits, family)

    def codes(self, weights):
        return weights & (1 << self.code_bits) - 1

    def model(self, weights, windows, bits):
        return MultiplyArrays.model(weights, windows)

    def excess(self, weights, bits):
        return np.zeros_like(weights)


KINDS = {f"n{bits}": Shifting(bits) for bits in WIDTHS} | {"s8": Multiplying(8)}


def word(kind, weights):
    codes = kind.codes(weights).tolist()
    return sum(code << n * kind.code_bits for n, code in enumerate(codes))


def run(dut, kind, tiles, windows):
    """Sums of ``windows [tiles, words, operands]``, each tile with weights ``[tiles, operands]``.

    A tile is loaded while the one before it works and is switched to without a pause.
    """
    count, words = windows.shape[:2]
    assert words > 3
    sums = []

    async def testbench(ctx):
        ctx.set(dut.word, word(kind, tiles[0]))
        ctx.set(dut.load, 1)
        await ctx.tick()
        for now in range(count * words + dut.latency + 1):
            # Stage k switches k cycles after the tile began; then the next one may come.
            tile, position = divmod(now, words)
            ctx.set(dut.switch, 1 << position if position < 2 and tile < count else 0)
            ctx.set(dut.load, position == 2 and tile + 1 < count)
            if tile + 1 < count:
                ctx.set(dut.word, word(kind, tiles[tile + 1]))
            # Weights are active from the cycle after their switch on.
            if 0 < now <= count * words:
                taps = windows.reshape(count * words, dut.channels, -1)[now - 1]
                ctx.set(dut.window, taps.tolist())
            _, _, total = await ctx.tick().sample(dut.sum)
            if now > dut.latency:
                sums.append(total)

    Bench(dut).run(testbench)
    return np.array(sums, np.int64).reshape(count, words)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("channels, size, bits", [(1, 3, 16), (2, 3, 4), (1, 5, 8)])
def test_sums(name, bits, channels, size):
    kind, operands = KINDS[name], channels * size**2
    rng = np.random.default_rng(bits)
    tiles = rng.choice(kind.values, (4, operands))
    windows = rng.integers(0, 1 << bits, (4, 5, operands))
    # The largest sums that the width is made for.
    tiles[1], tiles[2] = kind.values.min(), kind.values.max()
    windows[1:3, 2], windows[1:3, 3] = 0, (1 << bits) - 1
    dut = kind.arrays(channels, size, bits)
    total = run(dut, kind, tiles, windows)
    assert np.array_equal(total, kind.model(tiles[:, None], windows, bits)[..., 0])
    excess = kind.excess(tiles, bits).sum(axis=1)
    assert np.array_equal(total - excess[:, None], np.einsum("to,two->tw", tiles, windows))
    assert int(np.abs(total).max()).bit_length() + (name == "s8") == len(dut.sum)


@pytest.mark.parametrize("bits", WIDTHS)
def test_element_for_all_weights(bits):
    """Every weight with every activation of six bits."""
    kind = KINDS[f"n{bits}"]
    dut = kind.arrays(1, 3, 6)
    tiles = np.full((len(kind.values), 9), kind.values[-1])
    tiles[:, 4] = kind.values
    windows = np.zeros((len(kind.values), 64, 9), np.int64)
    windows[..., 4] = np.arange(64)
    total = run(dut, kind, tiles, windows)
    exact = kind.values[:, None] * np.arange(64)
    assert np.array_equal(total - kind.excess(kind.values, 6)[:, None], exact)


@pytest.mark.parametrize("bits, activation_bits", [(1, 6), (2, 6), (3, 8), (4, 5), (5, 4)])
def test_primitives_equal_arithmetic(bits, activation_bits):
    """Proof for all states and inputs, with Yosys's models of LUT6_2, MUXF7 and CARRY4."""
    kind = KINDS[f"n{bits}"]
    primitive = to_verilog(kind.arrays(1, 3, activation_bits, "xcup"), "top")
    proof = prove(kind.arrays(1, 3, activation_bits), primitive)
    assert proof.equal, proof.unproven
    assert proof.points > 9 * bits


def test_netlist_equals_rtl():
    """What synthesis makes of the primitives does what the generic version says."""
    kind = KINDS["n3"]
    netlist = synthesize(kind.arrays(1, 3, 4, "xcup"))
    proof = prove(kind.arrays(1, 3, 4), netlist)
    assert proof.equal, proof.unproven
    assert "DSP48" not in netlist


def test_multipliers_are_dsp_blocks():
    assert synthesize(KINDS["s8"].arrays(1, 3, 16)).count("DSP48E1 ") == 9


@pytest.mark.parametrize("channels, size, more", [(1, 3, 0), (8, 3, 2), (1, 5, 2)])
def test_latency(channels, size, more):
    """Row and column, behind a register in the middle of long shifts and behind multipliers."""
    for bits, latency in ((3, 2), (5, 3)):
        found = ShiftArrays.arrays_latency(channels, size, SHIFT_PLANS[bits])
        assert found == latency + more
    assert MultiplyArrays.arrays_latency(channels, size) == 3 + more


@pytest.mark.parametrize("family", [None, "xcup"])
@pytest.mark.parametrize("name", KINDS)
def test_conversion(name, family):
    rtlil.convert(KINDS[name].arrays(2, 3, 8, family))
