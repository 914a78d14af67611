import re

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from boards.netlist import prove
from rtl.sharing import shared, to_rtlil
from rtl.verilog import to_verilog
from sim.bench import Bench


class Step(wiring.Component):
    """``o = Σ i * step``, a cycle later; counts in ``elaborated`` how often it was made."""

    elaborated = 0

    def __init__(self, step, sharing, reset):
        self.step, self.sharing, self.reset = step, sharing, reset
        super().__init__({"i": In(data.ArrayLayout(4, 2)), "o": Out(4)})

    def elaborate(self, platform):
        key = (Step, self.step, self.reset)
        if self.sharing and (instance := shared(self, platform, key)):
            return instance
        Step.elaborated += 1
        m = Module()
        register = Signal(4, name="register", reset_less=not self.reset)
        m.d.sync += register.eq(self.i[0] + self.i[1] + self.step)
        m.d.comb += self.o.eq(register)
        return m


class Middle(wiring.Component):
    def __init__(self, sharing, reset):
        self.sharing, self.reset = sharing, reset
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for n, step in enumerate((1, 2, 1)):
            m.submodules[f"step_{n}"] = block = Step(step, self.sharing, self.reset)
            m.d.comb += [block.i[0].eq(value), block.i[1].eq(self.i)]
            value = block.o
        m.d.comb += self.o.eq(value)
        return m


class Top(Middle):
    def elaborate(self, platform):
        m = Module()
        m.submodules.middle = middle = Middle(self.sharing, self.reset)
        m.d.comb += [middle.i.eq(self.i), self.o.eq(middle.o)]
        return m


def modules(text):
    return sorted(re.findall(r"^module \\(\S+)$", text, re.MULTILINE))


def test_modules_are_those_of_the_unshared_design():
    """Names of the hierarchy, which the report on resources goes by; equal ones made once."""
    plain = modules(rtlil.convert(Top(False, True), name="top"))
    Step.elaborated = 0
    text = to_rtlil(Top(True, True), "top")
    assert modules(text) == plain
    assert Step.elaborated == 2
    assert text.count("attribute \\top 1") == 1
    assert to_rtlil(Top(True, True), "top") == text


def test_it_is_the_same_hardware():
    """With a reset and without, proven."""
    for reset in (False, True):
        proof = prove(Top(False, reset), to_verilog(Top(True, reset), "top"))
        assert proof.equal, proof.unproven
        assert proof.points > 4


def test_a_top_stands_for_itself():
    assert modules(to_rtlil(Step(1, True, True), "top")) == ["top"]


def test_simulation_has_the_hardware():
    dut = Top(True, True)

    async def testbench(ctx):
        ctx.set(dut.i, 3)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.o) == (3 + 1 + 3 + 2 + 3 + 1 + 3) % 16

    Bench(dut).run(testbench)
