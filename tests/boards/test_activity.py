import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.activity import evaluate, simulate
from rtl.convolver.multiply import MultiplyArrays
from rtl.convolver.plan import SHIFT_PLANS
from rtl.convolver.shift import ShiftArrays


class Registers(wiring.Component):
    """A register with enable and reset, one without, and their exclusive or."""

    d: In(4)
    enable: In(1)
    clear: In(1)
    held: Out(4, init=5)
    plain: Out(4)
    both: Out(4)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.held.eq(self.d)
        with m.If(self.clear):
            m.d.sync += self.held.eq(5)
        m.d.sync += self.plain.eq(self.d)
        m.d.comb += self.both.eq(self.held ^ self.plain)
        return m


def test_registers():
    """Outputs of every cycle, and the toggles of the last ones, in which one register holds."""
    d = np.array([1, 2, 3, 4, 5, 6, 7, 8, 0, 15, 0, 15, 0])
    enable = np.array([0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    clear = np.array([0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    inputs = {"d": d, "enable": enable, "clear": clear}
    waves = simulate(Registers(), inputs, warm=9)
    held = [5, 5, 2, 2, 5, 5, *[5] * 7]
    assert waves.outputs["held"].tolist() == held
    assert waves.outputs["plain"].tolist() == [0, *d[:-1]]
    assert waves.outputs["both"].tolist() == [a ^ b for a, b in zip(held, [0, *d[:-1]])]
    # `plain` changes four bits in each of three steps, and so does `both`.
    assert waves.toggles == 2 * 4 * 3


def cell(kind, **bits):
    directions = {port: "output" if port in ("O", "Q") else "input" for port in bits}
    return {"type": kind, "parameters": {}, "connections": bits, "port_directions": directions}


def test_feedback_is_refused():
    values = {"1": np.ones(4, bool)}
    with pytest.raises(ValueError, match="the netlist has feedback through 2 cells"):
        evaluate([cell("INV", I=[2], O=[3]), cell("INV", I=[3], O=[2])], values)


def test_unknown_cells_are_refused():
    with pytest.raises(ValueError, match="the netlist has a cell DSP48E1"):
        evaluate([cell("DSP48E1", A=["1"])], {"1": np.ones(4, bool)})


def packed(values, bits):
    return np.array([sum(int(v) << n * bits for n, v in enumerate(row)) for row in values], object)


@pytest.mark.parametrize("kind", ["shift", "multiply"])
def test_arrays_give_their_sums(kind):
    """The netlist's outputs are the model's, so its nets are those of the work that is meant."""
    plan, bits, cycles = SHIFT_PLANS[3], 6, 40
    rng = np.random.default_rng(0)
    weights = rng.choice([-4, -2, -1, 0, 1, 2, 4], 9)
    windows = rng.integers(0, 1 << bits, (cycles, 9))
    if kind == "shift":
        dut, width = ShiftArrays(1, 3, plan, bits, "xc7"), plan.lane_bits
        codes = plan.expand(plan.format.encode(weights))
        expected = ShiftArrays.model(plan, bits, plan.format.encode(weights)[None], windows)
    else:
        dut, width = MultiplyArrays(1, 3, 4, bits, "xc7"), 4
        codes, expected = weights & 15, MultiplyArrays.model(weights[None], windows)
    pulse = np.eye(1, cycles, dtype=int)[0]
    word = np.repeat(packed(codes[None], width), cycles)
    inputs = {"word": word, "load": pulse, "switch": np.roll(pulse, 1)}
    waves = simulate(dut, inputs | {"window": packed(windows, bits)}, warm=8)
    found = waves.outputs["sum"][2 + dut.latency :].astype(np.int64)
    mask = (1 << len(dut.sum)) - 1
    assert np.array_equal(found, expected[2 : -dut.latency, 0] & mask)
    assert 0 < waves.toggles < waves.nets * cycles
