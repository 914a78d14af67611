"""What a program tells the channels, and what it waits for."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.engine import chosen_layout
from rtl.dma.transfer import DmaConfig
from rtl.isa import LAYOUTS, TRANSFERS, Opcode, Waited

__all__ = ["Orders"]


class Orders(wiring.Component):
    """Transfers of ``MOVE``, with the fields of ``TARGET`` and ``SHAPE``, and counts of ended ones.

    A transfer is offered in the cycle after its ``move``; the next ``move`` waits for ``room``.
    ``reached`` says of ``wait`` as it was a cycle before whether its channel had ended so many
    transfers since the last ``clear``, modulo half of what a count holds.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    clear : In(1)
        A program starts: nothing has been counted, no transfer is offered.
    target, shape, move : In of the instructions' fields
    set_target, set_shape, push : In(1)
        The fields are those of an instruction that takes effect in this cycle.
    room : Out(1)
        None is offered and none is pushed.
    wait : In of WAIT's fields
    reached : Out(1)
    ended : In(2)
        See :class:`~rtl.dma.channel.DmaChannel`, a bit a channel.
    transfer : Out(stream of chosen_layout)
    """

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "target": In(LAYOUTS[Opcode.TARGET]),
                "shape": In(LAYOUTS[Opcode.SHAPE]),
                "move": In(LAYOUTS[Opcode.MOVE]),
                "set_target": In(1),
                "set_shape": In(1),
                "push": In(1),
                "room": Out(1),
                "wait": In(LAYOUTS[Opcode.WAIT]),
                "reached": Out(1),
                "ended": In(2),
                "transfer": Out(stream.Signature(chosen_layout(config))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        target = Signal(LAYOUTS[Opcode.TARGET], reset_less=True)
        shape = Signal(LAYOUTS[Opcode.SHAPE], reset_less=True)
        with m.If(self.set_target):
            m.d.sync += target.eq(self.target)
        with m.If(self.set_shape):
            m.d.sync += shape.eq(self.shape)

        offered = self.transfer
        with m.If(offered.ready):
            m.d.sync += offered.valid.eq(0)
        with m.If(self.push):
            chosen = offered.payload
            m.d.sync += [
                offered.valid.eq(1),
                chosen.channel.eq(self.move.channel),
                chosen.transfer.store.eq(self.move.store),
                chosen.transfer.region.eq(self.move.region),
                chosen.transfer.address.eq(self.move.address),
                chosen.transfer.words.eq(self.move.words),
                chosen.transfer.base.eq(target.buffer),
                chosen.transfer.offset.eq(target.offset),
                chosen.transfer.rows.eq(shape.rows),
                chosen.transfer.memory_stride.eq(shape.memory_stride),
                chosen.transfer.address_stride.eq(shape.address_stride),
            ]
        m.d.comb += self.room.eq(~offered.valid & ~self.push)

        counts = Signal(data.ArrayLayout(TRANSFERS, 2))
        for n in range(2):
            with m.If(self.ended[n]):
                m.d.sync += counts[n].eq(counts[n] + 1)
        # What is left of the count is negative, or nothing, where it is reached.
        left = Signal(TRANSFERS)
        second = self.wait.what == Waited.CHANNEL_1
        m.d.comb += left.eq(self.wait.count - Mux(second, counts[1], counts[0]))
        m.d.sync += self.reached.eq(left[-1] | ~left.any())
        with m.If(self.clear):
            m.d.sync += [offered.valid.eq(0), counts.as_value().eq(0)]
        return m
