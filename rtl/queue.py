"""A queue of wide words in a memory, for a sender that cannot wait."""

from amaranth.hdl import Module, Shape, Signal, Value, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """First in, first out, between a sender that cannot wait and a receiver that may.

    The memory holds ``depth`` words, the output one more. ``room`` is high where more than
    ``reserve`` words of the memory were free in the cycle before. So a sender whose words are
    written ``n`` cycles after it has started them, and which starts one only where there is room,
    needs ``reserve = n + 1``: ``n`` words under way, and one started before a write is seen. A
    word written into a full queue is lost with others; nothing tells.

    Latency 2 from a written word to ``o.valid``, throughput 1, at ``o`` back-pressure. Maps onto
    block RAM.

    Parameters
    ----------
    shape : ShapeLike
    depth : int
        A power of two.
    reserve : int
        1 or more, less than ``depth``.

    Members
    -------
    write : In(1), data : In(shape)
    room : Out(1)
    o : Out(stream of shape)

    Errors: ``ValueError`` for a depth or reserve that is none of these.
    """

    latency = 2

    def __init__(self, shape, depth: int, reserve: int) -> None:
        if depth & (depth - 1) or not 0 < reserve < depth:
            raise ValueError(
                f"depth = {depth}, reserve = {reserve}: depth is a power of two, reserve 1 or more "
                f"and less than it"
            )
        self.shape = shape
        self.depth = depth
        self.reserve = reserve
        super().__init__(
            {
                "write": In(1),
                "data": In(shape),
                "room": Out(1),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        width = Shape.cast(self.shape).width
        m.submodules.memory = words = memory.Memory(
            shape=unsigned(width), depth=self.depth, init=[]
        )
        read, write = words.read_port(), words.write_port()
        level = Signal(range(self.depth + 1))
        take = Signal()
        m.d.comb += [
            take.eq((level != 0) & (~self.o.valid | self.o.ready)),
            read.en.eq(take),
            write.en.eq(self.write),
            write.data.eq(self.data),
            Value.cast(self.o.payload).eq(read.data),
        ]
        m.d.sync += [
            level.eq(level + self.write - take),
            self.room.eq(level <= self.depth - self.reserve - 1),
            write.addr.eq(write.addr + self.write),
            read.addr.eq(read.addr + take),
        ]
        with m.If(take):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
