"""Bytes over a serial line: eight bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]


class UartReceiver(wiring.Component):
    """Bytes of a line, without back-pressure.

    A bit is looked at in its middle. A start bit that is over by then, and a byte whose stop bit is
    low, are dropped. ``o_valid`` follows the middle of the stop bit by 3 cycles.

    Parameters
    ----------
    divisor : int
        Cycles of a bit, 4 or more.

    Members
    -------
    line : In(1)
        High while nothing is sent; asynchronous.
    o : Out(8), o_valid : Out(1)
        A byte, for one cycle.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"line": In(1, init=1), "o": Out(8), "o_valid": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        level = Signal(init=1)
        m.submodules.level = FFSynchronizer(self.line, level, init=1)
        wait, left = Signal(range(self.divisor)), Signal(range(11))
        m.d.sync += self.o_valid.eq(0)
        with m.If(left == 0), m.If(~level):
            m.d.sync += [left.eq(10), wait.eq(self.divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            # The middle of a bit: of the start bit first, of the stop bit last.
            m.d.sync += [wait.eq(self.divisor - 1), left.eq(left - 1)]
            with m.If(left == 1):
                m.d.sync += self.o_valid.eq(level)
            with m.Elif(left != 10):
                m.d.sync += self.o.eq(Cat(self.o[1:], level))
            with m.Elif(level):
                m.d.sync += left.eq(0)
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto a line, one every ``10 * divisor`` cycles.

    Parameters
    ----------
    divisor : int
        Cycles of a bit.

    Members
    -------
    i : In(stream of 8)
    line : Out(1)
        High while nothing is sent.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "line": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        wait, left, bits = Signal(range(self.divisor)), Signal(range(11)), Signal(9)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [
                self.line.eq(0),
                bits.eq(Cat(self.i.payload, Const(1))),
                left.eq(10),
                wait.eq(self.divisor - 1),
            ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [
                wait.eq(self.divisor - 1),
                left.eq(left - 1),
                self.line.eq(bits[0]),
                bits.eq(Cat(bits[1:], Const(1))),
            ]
        return m
