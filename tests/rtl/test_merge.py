from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.merge import merge_equal_modules
from rtl.verilog import to_rtlil, to_verilog


class Leaf(wiring.Component):
    i: In(4)
    o: Out(4)

    def __init__(self, step):
        self.step = step
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self.step)
        return m


class Pair(wiring.Component):
    i: In(4)
    o: Out(4)

    def __init__(self, steps):
        self.steps = steps
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.a = a = Leaf(self.steps[0])
        m.submodules.b = b = Leaf(self.steps[1])
        m.d.comb += [a.i.eq(self.i), b.i.eq(self.i), self.o.eq(a.o ^ b.o)]
        return m


class Top(wiring.Component):
    i: In(4)
    o: Out(4)
    p: Out(4)
    q: Out(4)

    def elaborate(self, platform):
        m = Module()
        for name, steps, output in (("x", (1, 1), self.o), ("y", (1, 1), self.p)):
            m.submodules[name] = pair = Pair(steps)
            m.d.comb += [pair.i.eq(self.i), output.eq(pair.o)]
        m.submodules.z = pair = Pair((1, 2))
        m.d.comb += [pair.i.eq(self.i), self.q.eq(pair.o)]
        return m


def modules(rtlil):
    return [line.split()[1] for line in rtlil.splitlines() if line.startswith("module ")]


def test_equal_modules_become_one():
    """The leaves of a step, then the parents that now have equal parts."""
    before = to_rtlil(Top(), "top")
    assert len(modules(before)) == 1 + 3 + 6
    after = merge_equal_modules(before)
    # Top, two kinds of pairs, two kinds of leaves.
    assert len(modules(after)) == 5
    assert merge_equal_modules(after) == after
    # Instances keep their names.
    for name in ("x", "y", "z"):
        assert f" \\{name}\n" in after


def test_verilog_is_merged():
    verilog = to_verilog(Top(), "top")
    assert verilog.count("endmodule") == 5
