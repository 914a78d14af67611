"""The sequencer: fetches instructions, keeps the settings, starts one run after the other."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
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


def fields_of(word: Value) -> dict[Opcode, data.View]:
    """An instruction's fields, as each opcode has them."""
    return {
        op: data.View(layout, word[OPCODE_BITS : OPCODE_BITS + layout.size])
        for op, layout in LAYOUTS.items()
        if layout.size
    }


class Sequencer(wiring.Component):
    """Executes a program: one instruction a cycle, ``RUN`` and ``HALT`` when the machine is free.

    Instructions write the next settings, which are all 0 when a program starts. ``RUN`` copies them
    to ``settings``, which is stable until the run ends, and raises ``start`` one cycle later. The
    instructions behind it go on meanwhile. An error stops the program before the instruction has
    any effect, and when the run before it has ended.

    The program pauses before a ``RUN`` or ``HALT`` when ``stop_after`` runs have been started and
    the last of them has ended. After RESUME it pauses there again unless ``stop_after`` was
    changed. A pause does not count in ``cycles``.

    An instruction is fetched, decoded and executed in a cycle each: the first executes two cycles
    after the state becomes RUNNING.

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

        # Fetch: ahead of execution, one instruction a cycle.
        m.submodules.memory = instructions = memory.Memory(
            shape=unsigned(INSTRUCTION_BITS), depth=self.instruction_words, init=[]
        )
        read, write = instructions.read_port(), instructions.write_port()
        fetch_pc = Signal(self.pc_bits)
        fetched, decoded, take, execute = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            write.addr.eq(self.host.address),
            write.data.eq(self.host.write_data),
            write.en.eq(self.host.write),
            self.host.read_data.eq(read.data),
            take.eq(~decoded | execute),
            read.addr.eq(Mux(self.host.read, self.host.address, fetch_pc)),
            read.en.eq((running & (~fetched | take)) | self.host.read),
        ]
        with m.If(running & (~fetched | take)):
            m.d.sync += [fetch_pc.eq(fetch_pc + 1), fetched.eq(1)]

        # Decode: the word, and what decides whether it executes.
        word = Signal(INSTRUCTION_BITS, reset_less=True)
        opcode = word[:OPCODE_BITS]
        plain, run, error = Signal(), Signal(), Signal(8)
        following_error = Signal(8)
        first = Signal()
        self.check(m, read.data, first, fetch_pc == 0, following_error)
        with m.If(running & take):
            m.d.sync += [
                decoded.eq(fetched),
                word.eq(read.data),
                error.eq(following_error),
                run.eq((read.data[:OPCODE_BITS] == Opcode.RUN.value) & (following_error == 0)),
                plain.eq(
                    (read.data[:OPCODE_BITS] != Opcode.RUN.value)
                    & (read.data[:OPCODE_BITS] != Opcode.HALT.value)
                    & (following_error == 0)
                ),
            ]
            with m.If(fetched):
                m.d.sync += first.eq(0)

        # Execute. Runs and pauses lie many cycles apart, so the comparison may be a cycle late.
        following = Signal(self.settings.shape())
        fields = fields_of(word)
        busy, pause, reached = Signal(), Signal(), Signal()
        ends = (opcode == Opcode.HALT.value) | (opcode == Opcode.RUN.value)
        m.d.sync += reached.eq(self.stop_after.any() & (self.runs == self.stop_after))
        m.d.comb += [
            pause.eq(ends & ~busy & reached),
            execute.eq(running & decoded & (plain | (run & ~busy & ~reached))),
        ]
        with m.If(self.done):
            m.d.sync += busy.eq(0)
        m.d.sync += self.start.eq(0)
        with m.If(running & decoded):
            # Neither the cycle that pauses counts nor those that fetch after it.
            with m.If(~pause):
                m.d.sync += self.cycles.eq(self.cycles + 1)
            with m.If(pause):
                m.d.sync += self.state.eq(State.PAUSED)
            # The run under way ends first: what is not running may be accessed.
            with m.Elif(~busy & error.any()):
                m.d.sync += [self.state.eq(State.FAILED), self.error.eq(error)]
            with m.Elif(~busy & (opcode == Opcode.HALT.value)):
                m.d.sync += self.state.eq(State.HALTED)
        with m.If(execute):
            m.d.sync += self.pc.eq(self.pc + 1)
            self.write_settings(m, opcode, fields, following)
            with m.If(run):
                m.d.sync += [
                    self.settings.eq(following),
                    self.settings.path.eq(fields[Opcode.RUN].path),
                    self.settings.signed.eq(fields[Opcode.RUN].signed),
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
                # Two cycles fetch and decode.
                self.cycles.eq(2),
                self.runs.eq(0),
                fetch_pc.eq(0),
                fetched.eq(0),
                decoded.eq(0),
                first.eq(1),
                following.as_value().eq(0),
            ]
        with m.Elif(resume & (self.state == State.PAUSED)):
            # The host may have used the memory's read port: fetch again.
            m.d.sync += [
                self.state.eq(State.RUNNING),
                fetch_pc.eq(self.pc),
                fetched.eq(0),
                decoded.eq(0),
            ]
        return m

    def check(self, m: Module, word, first, behind_last, error: Signal) -> None:
        """What is wrong with an instruction, as an :class:`~rtl.registers.Error`.

        ``first``: it is the first one; ``behind_last``: the one fetched behind it would again be.
        """
        opcode, fields = word[:OPCODE_BITS], fields_of(word)
        check, loop = fields[Opcode.CHECK], fields[Opcode.LOOP]
        bad_level, known = Signal(), Signal()
        with m.If(opcode == Opcode.LOOP.value):
            m.d.comb += bad_level.eq(1)
            for nest, levels in LEVELS.items():
                with m.If((loop.nest == nest) & (loop.level < levels)):
                    m.d.comb += bad_level.eq(0)
        with m.If(opcode == Opcode.STEP.value):
            m.d.comb += bad_level.eq(fields[Opcode.STEP].level >= LEVELS[Nest.ACTIVATION])
        with m.If(opcode == Opcode.ORIGIN.value):
            m.d.comb += bad_level.eq(fields[Opcode.ORIGIN].nest.as_value() >= len(Nest))
        m.d.comb += known.eq(opcode <= max(op.value for op in Opcode))
        with m.If(first & (opcode != Opcode.CHECK.value)):
            m.d.comb += error.eq(Error.WRONG_VERSION)
        with m.Elif(~known):
            m.d.comb += error.eq(Error.ILLEGAL_OPCODE)
        with m.Elif(behind_last & (opcode != Opcode.HALT.value)):
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
