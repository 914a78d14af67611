"""A stream register that cuts the path of ``ready``."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Elastic"]


class Elastic(wiring.Component):
    """Two words between a sender and a receiver: all outputs are registers.

    Latency 1, throughput 1, back-pressure yes. Costs half a look-up table and two registers a bit.

    Parameters
    ----------
    shape : ShapeLike

    Members
    -------
    i : In(stream of shape), o : Out(stream of shape)
    """

    latency = 1

    def __init__(self, shape) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()
        held = Signal(Shape.cast(self.shape).width, reset_less=True)
        # Of a word that came while the one before it waited.
        full = Signal()
        arriving = Value.cast(self.i.payload)
        m.d.comb += self.i.ready.eq(~full)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                Value.cast(self.o.payload).eq(Mux(full, held, arriving)),
                self.o.valid.eq(full | self.i.valid),
                full.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += full.eq(1)
        with m.If(~full):
            m.d.sync += held.eq(arriving)
        return m
