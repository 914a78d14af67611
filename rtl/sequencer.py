"""The sequencer: fetches instructions, keeps the settings, starts one run after the other."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import (
    INSTRUCTION_BITS,
    LAYOUTS,
    LEVELS,
    MAX_PASSES,
    OPCODE_BITS,
    VERSION,
    Nest,
    Opcode,
    Path,
)
from rtl.nest import nest_settings
from rtl.post import post_settings
from rtl.registers import Control, Error, State
from rtl.store import HostAccess

__all__ = ["Sequencer", "run_settings"]


def run_settings(address_bits: dict[Nest, int], shift_bits: int) -> data.StructLayout:
    """All settings of a run."""
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
            "post": post_settings(),
            "members": LAYOUTS[Opcode.MEMBERS],
            "path": Path,
            "signed": 1,
        }
    )


class Sequencer(wiring.Component):
    """Executes a program: one instruction a cycle, ``RUN`` and ``HALT`` when the machine is free.

    Instructions write the next settings, which are all 0 when a program starts. ``RUN`` copies them
    to ``settings``, which is stable until the run ends, and raises ``start`` one cycle later. The
    instructions behind it go on meanwhile. An error stops the program before the instruction has
    any effect, and when the run before it has ended.

    The program pauses before a ``RUN`` or ``HALT`` when ``stop_after`` runs have been started and
    the last of them has ended. After RESUME it pauses there again unless ``stop_after`` was
    changed. A pause does not count in ``cycles``.

    The first instruction executes one cycle after the state becomes RUNNING.

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
    """

    def __init__(
        self,
        address_bits: dict[Nest, int],
        shift_bits: int,
        instruction_words: int,
        fingerprint: int,
    ) -> None:
        self.nests = address_bits
        self.instruction_words = instruction_words
        self.fingerprint = fingerprint
        self.pc_bits = (instruction_words - 1).bit_length()
        super().__init__(
            {
                "control": In(3),
                "stop_after": In(32),
                "state": Out(unsigned(3)),
                "error": Out(unsigned(8)),
                "pc": Out(self.pc_bits),
                "cycles": Out(32),
                "runs": Out(32),
                "settings": Out(run_settings(address_bits, shift_bits)),
                "start": Out(1),
                "done": In(1),
                "host": In(HostAccess(self.pc_bits, INSTRUCTION_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        running = Signal()
        m.d.comb += running.eq(self.state == State.RUNNING)

        # Fetch: the memory shows the instruction at `pc`; while one executes, the next is read.
        m.submodules.memory = instructions = memory.Memory(
            shape=unsigned(INSTRUCTION_BITS), depth=self.instruction_words, init=[]
        )
        read, write = instructions.read_port(), instructions.write_port()
        fetched, execute = Signal(), Signal()
        m.d.comb += [
            write.addr.eq(self.host.address),
            write.data.eq(self.host.write_data),
            write.en.eq(self.host.write),
            self.host.read_data.eq(read.data),
        ]
        with m.If(self.host.read):
            m.d.comb += [read.addr.eq(self.host.address), read.en.eq(1)]
        with m.Else():
            m.d.comb += [
                read.addr.eq(self.pc + execute),
                read.en.eq(running & (execute | ~fetched)),
            ]

        # Decode.
        word = read.data
        opcode = word[:OPCODE_BITS]
        fields = {
            op: data.View(layout, word[OPCODE_BITS : OPCODE_BITS + layout.size])
            for op, layout in LAYOUTS.items()
            if layout.size
        }
        following = Signal(self.settings.shape())
        busy, wait = Signal(), Signal()
        error = Signal(8)
        ends = (opcode == Opcode.HALT.value) | (opcode == Opcode.RUN.value)
        m.d.comb += wait.eq(ends & busy)
        pause = Signal()
        m.d.comb += pause.eq(ends & ~busy & self.stop_after.any() & (self.runs == self.stop_after))
        self.check(m, opcode, fields, error)

        with m.If(self.done):
            m.d.sync += busy.eq(0)
        m.d.sync += self.start.eq(0)
        with m.If(running):
            m.d.sync += fetched.eq(1)
            # Neither the cycle that pauses counts nor the one that fetches after it.
            with m.If(fetched & ~pause):
                m.d.sync += self.cycles.eq(self.cycles + 1)
            with m.If(fetched & ~wait):
                with m.If(pause):
                    m.d.sync += self.state.eq(State.PAUSED)
                # The run under way ends first: what is not running may be accessed.
                with m.Elif(error.any()), m.If(~busy):
                    m.d.sync += [self.state.eq(State.FAILED), self.error.eq(error)]
                with m.Elif(opcode == Opcode.HALT.value):
                    m.d.sync += self.state.eq(State.HALTED)
                with m.Else():
                    m.d.comb += execute.eq(1)
                    m.d.sync += self.pc.eq(self.pc + 1)
                    self.write_settings(m, opcode, fields, following)
                    with m.If(opcode == Opcode.RUN.value):
                        run = fields[Opcode.RUN]
                        m.d.sync += [
                            self.settings.eq(following),
                            self.settings.path.eq(run.path),
                            self.settings.signed.eq(run.signed),
                            self.start.eq(1),
                            busy.eq(1),
                            self.runs.eq(self.runs + 1),
                        ]

        start = self.control[Control.START.bit_length() - 1]
        resume = self.control[Control.RESUME.bit_length() - 1]
        with m.If(start & ~running):
            m.d.sync += [
                self.state.eq(State.RUNNING),
                self.error.eq(Error.NONE),
                self.pc.eq(0),
                # The first cycle fetches.
                self.cycles.eq(1),
                self.runs.eq(0),
                fetched.eq(0),
                following.as_value().eq(0),
            ]
        with m.Elif(resume & (self.state == State.PAUSED)):
            # The host may have used the memory's read port: fetch again.
            m.d.sync += [self.state.eq(State.RUNNING), fetched.eq(0)]
        return m

    def check(self, m: Module, opcode, fields, error: Signal) -> None:
        """What is wrong with the instruction, as an :class:`~rtl.registers.Error`."""
        check, loop = fields[Opcode.CHECK], fields[Opcode.LOOP]
        bad_level = Signal()
        with m.If(opcode == Opcode.LOOP.value):
            m.d.comb += bad_level.eq(1)
            for nest, levels in LEVELS.items():
                with m.If((loop.nest == nest) & (loop.level < levels)):
                    m.d.comb += bad_level.eq(0)
        with m.If(opcode == Opcode.STEP.value):
            m.d.comb += bad_level.eq(fields[Opcode.STEP].level >= LEVELS[Nest.ACTIVATION])
        with m.If(opcode == Opcode.ORIGIN.value):
            m.d.comb += bad_level.eq(fields[Opcode.ORIGIN].nest.as_value() >= len(Nest))
        first, last = Signal(), Signal()
        m.d.comb += [first.eq(self.pc == 0), last.eq(self.pc == self.instruction_words - 1)]
        known = Signal()
        m.d.comb += known.eq(opcode <= max(op.value for op in Opcode))
        with m.If(first & (opcode != Opcode.CHECK.value)):
            m.d.comb += error.eq(Error.WRONG_VERSION)
        with m.Elif(~known):
            m.d.comb += error.eq(Error.ILLEGAL_OPCODE)
        with m.Elif(last & (opcode != Opcode.HALT.value)):
            m.d.comb += error.eq(Error.NO_HALT)
        with m.Elif(opcode == Opcode.CHECK.value):
            with m.If(check.version != VERSION):
                m.d.comb += error.eq(Error.WRONG_VERSION)
            with m.Elif(check.fingerprint != self.fingerprint):
                m.d.comb += error.eq(Error.WRONG_MACHINE)
        with m.Elif(bad_level):
            m.d.comb += error.eq(Error.NO_SUCH_LEVEL)

    def write_settings(self, m: Module, opcode, fields, following) -> None:
        """The settings that the instruction writes."""
        with m.Switch(opcode):
            with m.Case(Opcode.LOOP.value):
                loop = fields[Opcode.LOOP]
                for nest in self.nests:
                    for level in range(LEVELS[nest]):
                        with m.If((loop.nest == nest) & (loop.level == level)):
                            target = following[nest.name.lower()].levels[level]
                            m.d.sync += [target.last.eq(loop.last), target.step.eq(loop.step)]
            with m.Case(Opcode.ORIGIN.value):
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
            with m.Case(Opcode.STEP.value):
                step = fields[Opcode.STEP]
                for level in range(LEVELS[Nest.ACTIVATION]):
                    with m.If(step.level == level):
                        target = following.activation.levels[level]
                        m.d.sync += [target.row.eq(step.row), target.column.eq(step.column)]
            for op in (Opcode.VECTOR, Opcode.BOUNDS, Opcode.MEMBERS):
                with m.Case(op.value):
                    m.d.sync += following[op.name.lower()].eq(fields[op])
            with m.Case(Opcode.ENGINE.value):
                m.d.sync += following.engine.eq(fields[Opcode.ENGINE].settings)
            with m.Case(Opcode.PASS.value):
                entry = fields[Opcode.PASS]
                for index in range(MAX_PASSES):
                    with m.If(entry.index == index):
                        m.d.sync += following.passes[index].eq(entry.shift)
            with m.Case(Opcode.POST.value):
                post = fields[Opcode.POST]
                m.d.sync += [following.post[name].eq(post[name]) for name, _ in post.shape()]
            with m.Case(Opcode.RANGE.value):
                span = fields[Opcode.RANGE]
                m.d.sync += [
                    following.post.low.eq(span.low),
                    following.post.high.eq(span.high),
                ]
