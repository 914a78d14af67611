"""What programs note of their cycles, for the host."""

from amaranth.hdl import Module
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.registers import MARK_COUNT

__all__ = ["Marks", "mark_layout", "noted_layout"]


def noted_layout() -> data.StructLayout:
    """What ``MARK`` notes: see :class:`~rtl.dma.registers.MarkRegister`."""
    return data.StructLayout({"cycles": 32, "waits": 32})


def mark_layout() -> data.StructLayout:
    """The same with its place."""
    return data.StructLayout({"index": range(MARK_COUNT), "noted": noted_layout()})


class Marks(wiring.Component):
    """A memory of ``MARK_COUNT`` marks: one block of 36 Kbit.

    Members
    -------
    mark : In(stream of mark_layout)
        Always ready.
    index : In
    noted : Out(noted_layout)
        In the cycle after ``index``; of a mark that is noted in that cycle it is not defined.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "mark": In(stream.Signature(mark_layout())),
                "index": In(range(MARK_COUNT)),
                "noted": Out(noted_layout()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = marks = memory.Memory(shape=noted_layout(), depth=MARK_COUNT, init=[])
        write, read = marks.write_port(), marks.read_port()
        m.d.comb += [
            write.addr.eq(self.mark.p.index),
            write.data.eq(self.mark.p.noted),
            write.en.eq(self.mark.valid),
            self.mark.ready.eq(1),
            read.addr.eq(self.index),
            self.noted.eq(read.data),
        ]
        return m
