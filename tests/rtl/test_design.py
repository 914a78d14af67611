"""A design's key: equal for equal hardware, found without elaboration."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.design import Design


class Wire(wiring.Component):
    """``o = i``."""

    def __init__(self, width):
        assert width > 0, "made although only its key was asked for"
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


def test_key():
    key = Design(Wire, (-1,), "wire").key
    assert key == Design(Wire, (-1,), "wire").key
    assert key != Design(Wire, (-2,), "wire").key
    assert key != Design(Wire, (-1,), "other").key


def test_texts():
    design = Design(Wire, (5,), "wire")
    assert "module \\wire\n" in design.rtlil()
    assert "input [4:0] i;" in design.verilog()
