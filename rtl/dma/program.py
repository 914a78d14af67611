"""The sequencer's part that only machines with external memory have."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.engine import chosen_layout
from rtl.dma.marks import mark_layout
from rtl.dma.orders import Orders
from rtl.dma.transfer import DmaConfig
from rtl.isa import LAYOUTS, LENGTH, Opcode

__all__ = ["ProgramControl", "troubles_layout"]

TAKEN = (Opcode.CHECK, Opcode.TARGET, Opcode.SHAPE, Opcode.MOVE, Opcode.MARK)
"""Instructions that have an effect here."""


def troubles_layout() -> data.StructLayout:
    """What stops a program besides its instructions, the gravest last: errors by name."""
    return data.StructLayout({"NO_HALT": 1, "TRANSFER": 1, "STUCK": 1})


class ProgramControl(wiring.Component):
    """Says when an instruction has to wait for transfers and when a program cannot go on.

    Gives transfers to the channels and counts those that end (:class:`~rtl.dma.orders.Orders`);
    counts the cycles in which an instruction waits for them while no run is under way, and notes
    them with all cycles where ``MARK`` asks for it.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    clear : In(1)
        A program starts.
    decoded, execute, same : In(1)
        There is an instruction; it executes in this cycle; the next cycle's is the same.
    busy : In(1)
        A run is under way.
    moves, for_runs, for_transfers : In(1), wait : In of WAIT's fields
        The instruction is ``MOVE``, or ``WAIT`` for one of both; its fields.
    held : Out(1)
        So it must not execute.
    pc, cycles : In
        Of the sequencer.
    check, target, shape, move, mark_at : In(stream of the instruction's fields)
        The instruction takes effect in this cycle. Always ready.
    ended : In(2)
        See :class:`~rtl.dma.channel.DmaChannel`, a bit a channel.
    failed, moved : In(1)
        A channel has stopped; something has come or gone, or a run has ended.
    troubles : Out(troubles_layout)
    transfer : Out(stream of chosen_layout)
    mark : Out(stream of mark_layout)
        In the cycle after ``mark_at``. Always ready.
    """

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        super().__init__(
            {
                **dict.fromkeys(
                    (
                        *("clear", "decoded", "execute", "same", "busy"),
                        *("moves", "for_runs", "for_transfers", "failed", "moved"),
                    ),
                    In(1),
                ),
                "wait": In(LAYOUTS[Opcode.WAIT]),
                "held": Out(1),
                "pc": In(LENGTH.width + 1),
                "cycles": In(32),
                **{port_of(opcode): In(stream.Signature(LAYOUTS[opcode])) for opcode in TAKEN},
                "ended": In(2),
                "troubles": Out(troubles_layout()),
                "transfer": Out(stream.Signature(chosen_layout(config))),
                "mark": Out(stream.Signature(mark_layout())),
            }
        )

    @property
    def instructions(self) -> dict[Opcode, stream.Interface]:
        """The ports of instructions that take effect."""
        return {opcode: getattr(self, port_of(opcode)) for opcode in TAKEN}

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.orders = orders = Orders(self.config)
        wiring.connect(m, orders.transfer, wiring.flipped(self.transfer))
        # What the orders have said is of this instruction if it was there in the last cycle too.
        settled, short = Signal(), Signal()
        m.d.sync += settled.eq(self.same)
        m.d.comb += [
            *(port.ready.eq(1) for port in self.instructions.values()),
            orders.clear.eq(self.clear),
            orders.ended.eq(self.ended),
            orders.target.eq(self.target.p),
            orders.shape.eq(self.shape.p),
            orders.move.eq(self.move.p),
            orders.set_target.eq(self.target.valid),
            orders.set_shape.eq(self.shape.valid),
            orders.push.eq(self.move.valid),
            orders.wait.eq(self.wait),
            short.eq(
                (self.moves & ~orders.room) | (self.for_transfers & ~(settled & orders.reached))
            ),
            self.held.eq(short | (self.for_runs & self.busy)),
        ]

        # Marks: both counts of one cycle.
        idle, waited = Signal(), Signal(32)
        noted = self.mark.p.noted
        m.d.sync += [
            idle.eq(self.decoded & short & ~self.busy),
            waited.eq(waited + idle),
            self.mark.valid.eq(self.mark_at.valid),
            self.mark.p.index.eq(self.mark_at.p.index),
            noted.cycles.eq(self.cycles),
            noted.waits.eq(waited),
        ]

        # Troubles.
        length, beyond, failed = Signal(LENGTH, init=-1), Signal(), Signal()
        quiet = Signal(self.config.patience.bit_length())
        m.d.sync += [beyond.eq(self.pc >= length), failed.eq(self.failed)]
        with m.If(self.check.valid):
            m.d.sync += length.eq(self.check.p.length)
        m.d.sync += quiet.eq(Mux(~self.decoded | self.execute | self.moved, 0, quiet + 1))
        m.d.comb += [
            self.troubles.NO_HALT.eq(self.decoded & beyond & ~self.busy),
            self.troubles.TRANSFER.eq(self.decoded & failed & ~self.busy),
            self.troubles.STUCK.eq(quiet[-1]),
        ]
        with m.If(self.clear):
            m.d.sync += [length.eq(-1), beyond.eq(0), idle.eq(0), waited.eq(0)]
        return m


def port_of(opcode: Opcode) -> str:
    """The name of an instruction's port: the mark that goes out has its own."""
    return "mark_at" if opcode is Opcode.MARK else opcode.name.lower()
