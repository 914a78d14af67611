"""The sequencer: fetches instructions, keeps the settings, starts one run after the other."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.engine import chosen_layout
from rtl.dma.marks import mark_layout
from rtl.dma.program import ProgramControl
from rtl.dma.transfer import DmaConfig
from rtl.faults import fault_kinds, faults_of, fields_of
from rtl.isa import (
    INSTRUCTION_BITS,
    LAYOUTS,
    LENGTH,
    LEVELS,
    MAX_PASSES,
    OPCODE_BITS,
    Nest,
    Opcode,
    Path,
    Waited,
    opcodes,
)
from rtl.nest import nest_settings
from rtl.post import post_settings
from rtl.registers import Control, Error, State
from rtl.split.post import split_post_settings
from rtl.store import HostAccess

__all__ = ["Sequencer", "run_settings"]


def run_settings(
    address_bits: dict[Nest, int], shift_bits: int, splits: bool = False, external: bool = False
) -> data.StructLayout:
    """All settings of a run.

    ``splits``: of a machine whose codes do; ``external``: of one that has external memory.
    """
    nests = {
        nest.name.lower(): nest_settings(LEVELS[nest], bits, nest is Nest.ACTIVATION)
        for nest, bits in address_bits.items()
    }
    return data.StructLayout(
        {
            **nests,
            "vector": LAYOUTS[Opcode.VECTOR],
            "bounds": LAYOUTS[Opcode.BOUNDS],
            "engine": LAYOUTS[Opcode.ENGINE]["settings"].shape,
            "passes": data.ArrayLayout(shift_bits, MAX_PASSES),
            "post": split_post_settings() if splits else post_settings(),
            "members": LAYOUTS[Opcode.MEMBERS],
            "path": Path,
            "signed": 1,
            **({"widths": LAYOUTS[Opcode.WIDTHS]} if splits else {}),
            **({"continues": 1} if external else {}),
        }
    )


class Sequencer(wiring.Component):
    """Executes a program: one instruction a cycle, ``RUN`` and ``HALT`` when the machine is free.

    Instructions write the next settings, which are all 0 when a program starts. ``RUN`` copies them
    to ``settings``, which is stable until the run ends, and raises ``start`` three cycles later,
    one after the settings. The instructions behind it go on meanwhile. An error stops the program
    before the instruction has any effect, and when the run before it has ended.

    The program pauses before a ``RUN`` or ``HALT`` when ``stop_after`` runs have been started and
    the last of them has ended. After RESUME it pauses there again unless ``stop_after`` was
    changed. A pause does not count in ``cycles``.

    An instruction is fetched, decoded, executed and written in a cycle each: the first executes two
    cycles after the state becomes RUNNING.

    Parameters
    ----------
    address_bits : dict of Nest to int
        Width of each nest's addresses.
    shift_bits : int
        Width of a pass's shift.
    instruction_words : int
        A power of two.
    fingerprint : int
        What ``CHECK`` compares with.
    splits : bool
        Whether the machine's codes split, which decides what opcodes it knows.
    channels : DmaConfig, optional
        Of a machine with external memory, whose programs may be longer than the memory: its
        addresses repeat.

    Members
    -------
    control : In(3)
        Bits of :class:`~rtl.registers.Control`, for one cycle; STOP is the machine's business.
    stop_after : In(32)
    state : Out(State), error : Out(Error), pc, cycles, runs : Out
        See :class:`~rtl.registers.Register`.
    settings : Out(run_settings), start : Out(1)
    done : In(1)
        High in the last cycle of a run.
    host : In(HostAccess)
        To the instruction memory.
    transfer : Out(stream of chosen_layout), ended : In(2)
        With channels: see :class:`~rtl.dma.orders.Orders`.
    mark : Out(stream of mark_layout)
        With channels: what ``MARK`` notes, two cycles after it executes.
    failed : In(1), moved : In(1)
        With channels: one has stopped; something has come or gone in this cycle.
    """

    def __init__(
        self,
        address_bits: dict[Nest, int],
        shift_bits: int,
        instruction_words: int,
        fingerprint: int,
        splits: bool = False,
        channels: DmaConfig | None = None,
    ) -> None:
        self.splits = splits
        self.channels = channels
        self.opcodes = opcodes(splits, channels is not None)
        self.nests = address_bits
        self.instruction_words = instruction_words
        self.fingerprint = fingerprint
        address_width = (instruction_words - 1).bit_length()
        self.pc_bits = LENGTH.width + 1 if channels else address_width
        outside = {}
        if channels:
            outside = {
                "transfer": Out(stream.Signature(chosen_layout(channels))),
                "mark": Out(stream.Signature(mark_layout())),
                "ended": In(2),
                "failed": In(1),
                "moved": In(1),
            }
        super().__init__(
            {
                "control": In(3),
                "stop_after": In(32),
                "state": Out(unsigned(3)),
                "error": Out(unsigned(8)),
                "pc": Out(self.pc_bits),
                "cycles": Out(32),
                "runs": Out(32),
                "settings": Out(
                    run_settings(address_bits, shift_bits, splits, channels is not None)
                ),
                "start": Out(1),
                "done": In(1),
                "host": In(HostAccess(address_width, INSTRUCTION_BITS)),
                **outside,
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        running, paused, decoded = Signal(), Signal(), Signal()

        def enter(state: State) -> list:
            # What is decoded executes only while the machine runs.
            return [
                decoded.eq(0),
                self.state.eq(state),
                running.eq(state is State.RUNNING),
                paused.eq(state is State.PAUSED),
            ]

        # Fetch: ahead of execution, one instruction a cycle.
        m.submodules.memory = instructions = memory.Memory(
            shape=unsigned(INSTRUCTION_BITS), depth=self.instruction_words, init=[]
        )
        read, write = instructions.read_port(), instructions.write_port()
        fetch_pc = Signal(self.pc_bits)
        fetched, take, execute = Signal(), Signal(), Signal()
        m.d.comb += [
            write.addr.eq(self.host.address),
            write.data.eq(self.host.write_data),
            write.en.eq(self.host.write),
            self.host.read_data.eq(read.data),
            take.eq(~decoded | execute),
            read.addr.eq(Mux(self.host.read, self.host.address, fetch_pc)),
            read.en.eq(~running | ~fetched | take),
        ]
        with m.If(running & (~fetched | take)):
            m.d.sync += [fetch_pc.eq(fetch_pc + 1), fetched.eq(1)]

        # Decode: the word, and what decides whether it executes.
        word = Signal(INSTRUCTION_BITS, reset_less=True)
        # In two halves: one register for all of them would be too deep.
        first, bad = Signal(), Signal(2)
        # Which opcode the instruction has.
        kinds = data.StructLayout({op.name: 1 for op in self.opcodes})
        kind = data.View(kinds, Signal(kinds, reset_less=True))
        # What WAIT waits for.
        for_runs, for_transfers = Signal(), Signal()
        known_faults = fault_kinds(self.splits)
        faults = Signal(len(known_faults), reset_less=True)
        behind_last = Const(0) if self.channels else fetch_pc == 0
        following_faults = faults_of(
            read.data, first, behind_last, self.opcodes, self.fingerprint, self.splits
        )
        with m.If(running & take):
            m.d.sync += decoded.eq(fetched)
            with m.If(fetched):
                m.d.sync += first.eq(0)
        # Whatever is taken while nothing runs does not execute.
        with m.If(take):
            m.d.sync += [
                word.eq(read.data),
                faults.eq(following_faults),
                bad.eq(Cat(following_faults[:-1].any(), following_faults[-1])),
                *(kind[op.name].eq(read.data[:OPCODE_BITS] == op.value) for op in self.opcodes),
            ]
            if self.channels:
                waits = read.data[:OPCODE_BITS] == Opcode.WAIT.value
                runs = fields_of(read.data, self.opcodes)[Opcode.WAIT].what == Waited.RUNS
                m.d.sync += [for_runs.eq(waits & runs), for_transfers.eq(waits & ~runs)]

        # Execute. Runs and pauses lie many cycles apart, so the comparison may be two cycles late.
        busy, pause, reached = Signal(), Signal(), Signal()
        # What holds an instruction besides, with channels.
        held: Value = Const(0)
        start, resume = (
            self.control[bit.bit_length() - 1] for bit in (Control.START, Control.RESUME)
        )
        if self.channels:
            m.submodules.outside = outside = ProgramControl(self.channels)
            held = outside.held
            wait = fields_of(word, self.opcodes)[Opcode.WAIT]
            m.d.comb += [
                outside.clear.eq(start & ~running),
                outside.decoded.eq(decoded),
                outside.execute.eq(execute),
                outside.same.eq(~take),
                outside.busy.eq(busy),
                outside.moves.eq(kind.MOVE),
                outside.for_runs.eq(for_runs),
                outside.for_transfers.eq(for_transfers),
                outside.wait.eq(wait),
                outside.pc.eq(self.pc),
                outside.cycles.eq(self.cycles),
                outside.ended.eq(self.ended),
                outside.failed.eq(self.failed),
                outside.moved.eq(self.moved | self.done),
            ]
            for port in ("transfer", "mark"):
                wiring.connect(m, getattr(outside, port), wiring.flipped(getattr(self, port)))
        run, halt = kind.RUN, kind.HALT
        parts = [slice(at, at + 4) for at in range(0, len(self.runs), 4)]
        same, some = Signal(len(parts)), Signal(len(parts))
        m.d.sync += [
            same.eq(Cat(self.runs[part] == self.stop_after[part] for part in parts)),
            some.eq(Cat(self.stop_after[part].any() for part in parts)),
            reached.eq(same.all() & some.any()),
        ]
        m.d.comb += [
            pause.eq((run | halt) & ~busy & reached),
            execute.eq(decoded & ~bad.any() & ~halt & ~held & (~run | (~busy & ~reached))),
        ]
        with m.If(self.done):
            m.d.sync += busy.eq(0)
        with m.If(decoded):
            # Neither the cycle that pauses counts nor those that fetch after it.
            with m.If(~pause):
                m.d.sync += self.cycles.eq(self.cycles + 1)
            with m.If(pause):
                m.d.sync += enter(State.PAUSED)
            # The run under way ends first: what is not running may be accessed.
            with m.Elif(~busy & bad.any()):
                m.d.sync += enter(State.FAILED)
                for error, fault in reversed(list(zip(known_faults, faults))):
                    with m.If(fault):
                        m.d.sync += self.error.eq(error)
            with m.Elif(~busy & halt):
                m.d.sync += enter(State.HALTED)
        with m.If(execute):
            m.d.sync += self.pc.eq(self.pc + 1)
            with m.If(run):
                m.d.sync += [busy.eq(1), self.runs.eq(self.runs + 1)]

        # Write: what executed a cycle ago has its effect on the settings. A start clears the next
        # ones, and a run sets all the others, so neither needs the reset.
        following = Signal(self.settings.shape(), reset_less=True)
        written_word = Signal.like(word, reset_less=True)
        written = data.View(kinds, Signal(kinds))
        m.d.sync += [
            written_word.eq(word),
            written.as_value().eq(kind.as_value() & execute.replicate(len(kind.as_value()))),
        ]
        fields = fields_of(written_word, self.opcodes)
        self.write_settings(m, written, fields, following)
        starting = Signal()
        m.d.sync += [starting.eq(written.RUN), self.start.eq(starting)]
        with m.If(written.RUN):
            m.d.sync += [
                self.settings.eq(following),
                self.settings.path.eq(fields[Opcode.RUN].path),
                self.settings.signed.eq(fields[Opcode.RUN].signed),
            ]
            if self.channels:
                m.d.sync += self.settings.continues.eq(fields[Opcode.RUN].continues)

        if self.channels:
            m.d.comb += [
                statement
                for opcode, port in outside.instructions.items()
                for statement in (
                    port.valid.eq(written[opcode.name]),
                    port.payload.eq(fields[opcode]),
                )
            ]
            for error in (Error.NO_HALT, Error.TRANSFER, Error.STUCK):
                with m.If(running & outside.troubles[error.name]):
                    m.d.sync += [*enter(State.FAILED), self.error.eq(error)]

        with m.If(start & ~running):
            m.d.sync += [
                *enter(State.RUNNING),
                self.error.eq(Error.NONE),
                self.pc.eq(0),
                # Two cycles fetch and decode.
                self.cycles.eq(2),
                self.runs.eq(0),
                fetch_pc.eq(0),
                fetched.eq(0),
                first.eq(1),
                following.as_value().eq(0),
            ]
        with m.Elif(resume & paused):
            # The host may have used the memory's read port: fetch again.
            m.d.sync += [
                *enter(State.RUNNING),
                fetch_pc.eq(self.pc),
                fetched.eq(0),
            ]
        return m

    def write_settings(self, m: Module, kind, fields, following) -> None:
        """The settings that the instruction writes."""
        with m.If(kind.LOOP):
            loop = fields[Opcode.LOOP]
            for nest in self.nests:
                for level in range(LEVELS[nest]):
                    with m.If((loop.nest == nest) & (loop.level == level)):
                        target = following[nest.name.lower()].levels[level]
                        m.d.sync += [target.last.eq(loop.last), target.step.eq(loop.step)]
        with m.If(kind.ORIGIN):
            origin = fields[Opcode.ORIGIN]
            for nest in self.nests:
                with m.If(origin.nest == nest):
                    target = following[nest.name.lower()]
                    m.d.sync += target.address.eq(origin.address)
                    if nest is Nest.ACTIVATION:
                        m.d.sync += [
                            target.row.eq(origin.row),
                            target.column.eq(origin.column),
                        ]
        with m.If(kind.STEP):
            step = fields[Opcode.STEP]
            for level in range(LEVELS[Nest.ACTIVATION]):
                with m.If(step.level == level):
                    target = following.activation.levels[level]
                    m.d.sync += [target.row.eq(step.row), target.column.eq(step.column)]
        for op in (Opcode.VECTOR, Opcode.BOUNDS, Opcode.MEMBERS):
            with m.If(kind[op.name]):
                m.d.sync += following[op.name.lower()].eq(fields[op])
        with m.If(kind.ENGINE):
            m.d.sync += following.engine.eq(fields[Opcode.ENGINE].settings)
        with m.If(kind.PASS):
            entry = fields[Opcode.PASS]
            for index in range(MAX_PASSES):
                with m.If(entry.index == index):
                    m.d.sync += following.passes[index].eq(entry.shift)
        if self.splits:
            with m.If(kind.WIDTHS):
                m.d.sync += following.widths.eq(fields[Opcode.WIDTHS])
            with m.If(kind.LIMIT):
                limit = fields[Opcode.LIMIT]
                with m.If(limit.upper):
                    m.d.sync += following.post.high.eq(limit.value)
                with m.Else():
                    m.d.sync += following.post.low.eq(limit.value)
            with m.If(kind.REQUANTIZE):
                post = fields[Opcode.REQUANTIZE]
                m.d.sync += [following.post[name].eq(post[name]) for name, _ in post.shape()]
            return
        with m.If(kind.POST):
            post = fields[Opcode.POST]
            m.d.sync += [following.post[name].eq(post[name]) for name, _ in post.shape()]
        with m.If(kind.RANGE):
            span = fields[Opcode.RANGE]
            m.d.sync += [
                following.post.low.eq(span.low),
                following.post.high.eq(span.high),
            ]
