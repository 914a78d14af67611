import random
from copy import deepcopy

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Shape

from rtl.isa import (
    LAYOUTS,
    LEVELS,
    MAX_PASSES,
    OPCODE_BITS,
    VERSION,
    Nest,
    Opcode,
    Operation,
    encode,
    opcodes,
)
from rtl.registers import Control, Error, State
from rtl.sequencer import Sequencer, run_settings
from sim.bench import Bench, plain

ADDRESS_BITS = dict(zip(Nest, (9, 7, 6, 5, 9, 9)))
SHIFT_BITS = 3
WORDS = 64
FINGERPRINT = 0xCAFE1234

CHECK = encode(Opcode.CHECK, version=VERSION, fingerprint=FINGERPRINT, length=0)
HALT = encode(Opcode.HALT)


def run(path=0, signed=0, layer=0):
    return encode(Opcode.RUN, path=path, signed=signed, layer=layer, continues=0)


def low(value):
    return encode(Opcode.RANGE, low=value, high=value)


def sequencer(splits=False):
    return Sequencer(ADDRESS_BITS, SHIFT_BITS, WORDS, FINGERPRINT, splits)


class Machine:
    """A sequencer with a machine that is busy for the given number of cycles from each RUN."""

    def __init__(self, program, durations=(), splits=False):
        self.dut = sequencer(splits)
        self.bench = Bench(self.dut)
        self.program = program
        self.durations = durations
        self.seen = []  # settings of each run

    async def load(self, ctx):
        dut = self.dut
        ctx.set(dut.host.write, 1)
        for address, word in enumerate(self.program):
            ctx.set(dut.host.address, address)
            ctx.set(dut.host.write_data, word)
            await ctx.tick()
        ctx.set(dut.host.write, 0)

    async def control(self, ctx, bits):
        ctx.set(self.dut.control, bits)
        await ctx.tick()
        ctx.set(self.dut.control, 0)

    async def until_stopped(self, ctx):
        """State after the program has stopped running."""
        while ctx.get(self.dut.state) == State.RUNNING:
            await ctx.tick()
        return State(ctx.get(self.dut.state))

    async def start(self, ctx):
        await self.control(ctx, Control.START)
        return await self.until_stopped(ctx)

    async def work(self, ctx):
        """The machine: ``done`` in the last cycle of each run, settings unchanged until then."""
        for duration in self.durations:
            while not ctx.get(self.dut.start):
                await ctx.tick()
            settings = plain(ctx.get(self.dut.settings))
            # RUN executed three cycles ago.
            for _ in range(duration - 4):
                await ctx.tick()
                assert plain(ctx.get(self.dut.settings)) == settings
                assert not ctx.get(self.dut.start)
            ctx.set(self.dut.done, 1)
            await ctx.tick()
            ctx.set(self.dut.done, 0)
            self.seen.append(settings)

    def run(self, testbench):
        async def whole(ctx):
            await self.load(ctx)
            await testbench(ctx)

        self.bench.run(whole, self.work)


def predicted_cycles(program, durations):
    """The formula of docs/machine.md."""
    durations = iter(durations)
    time, free = 2, 0
    for word in program:
        opcode = word & 63
        if opcode == Opcode.RUN.value:
            time = max(time, free)
            free = time + next(durations)
            time += 1
        elif opcode == Opcode.HALT.value:
            return max(time, free) + 1
        else:
            time += 1
    raise AssertionError("no HALT")


def random_fields(generator, opcode):
    """Full-range fields, levels and nests that exist."""
    fields = {}
    for name, field in LAYOUTS[opcode]:
        shape = Shape.cast(field.shape)
        low = -(1 << shape.width - 1) if shape.signed else 0
        fields[name] = generator.randint(low, low + (1 << shape.width) - 1)
    if "nest" in fields:
        nest = generator.choice(list(Nest))
        fields["nest"] = nest.value
        if "level" in fields:
            fields["level"] = generator.randrange(LEVELS[nest])
    elif "level" in fields:
        fields["level"] = generator.randrange(LEVELS[Nest.ACTIVATION])
    if opcode is Opcode.WIDTHS:
        run = generator.randrange(3)
        tensors = {name: generator.randint(0, run) for name in ("activation", "residual", "output")}
        fields = {"run": run, **tensors, "operation": generator.randrange(len(Operation))}
    if opcode is Opcode.REQUANTIZE:
        fields["seed"] = max(fields["seed"], 1)
    return fields


def setters(splits):
    """Opcodes that write settings."""
    return [op for op in opcodes(splits) if op not in (Opcode.HALT, Opcode.CHECK, Opcode.RUN)]


def apply(settings, opcode, fields):
    """What an instruction does to the settings, as docs/machine.md has it."""
    if opcode is Opcode.LOOP:
        nest = Nest(fields["nest"])
        level = settings[nest.name.lower()]["levels"][fields["level"]]
        level["last"] = fields["last"]
        level["step"] = fields["step"] % (1 << ADDRESS_BITS[nest])
    elif opcode is Opcode.ORIGIN:
        nest = Nest(fields["nest"])
        target = settings[nest.name.lower()]
        target["address"] = fields["address"] % (1 << ADDRESS_BITS[nest])
        if nest is Nest.ACTIVATION:
            target.update(row=fields["row"], column=fields["column"])
    elif opcode is Opcode.STEP:
        level = settings["activation"]["levels"][fields["level"]]
        level.update(row=fields["row"], column=fields["column"])
    elif opcode is Opcode.PASS:
        settings["passes"][fields["index"]] = fields["shift"] % (1 << SHIFT_BITS)
    elif opcode is Opcode.ENGINE:
        settings["engine"] = fields["settings"]
    elif opcode is Opcode.LIMIT:
        settings["post"]["high" if fields["upper"] else "low"] = fields["value"]
    elif opcode in (Opcode.BOUNDS, Opcode.VECTOR, Opcode.MEMBERS, Opcode.WIDTHS):
        settings[opcode.name.lower()] = fields
    else:
        settings["post"].update(fields)


@pytest.mark.parametrize("splits", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_random_programs(seed, splits):
    """Settings of every run, the moment of every start, and the number of cycles."""
    generator = random.Random(seed)
    program, durations, expected = [CHECK], [], []
    settings = plain(run_settings(ADDRESS_BITS, SHIFT_BITS, splits).from_bits(0))
    for _ in range(6):
        for _ in range(generator.choice((0, 1, 3, 12))):
            if len(program) >= WORDS - 8:
                break
            opcode = generator.choice(setters(splits))
            fields = random_fields(generator, opcode)
            program.append(encode(opcode, **fields))
            apply(settings, opcode, fields)
        settings.update(path=generator.randrange(2), signed=generator.randrange(2))
        program.append(run(settings["path"], settings["signed"], generator.randrange(1 << 16)))
        durations.append(generator.choice((4, 5, 7, 25)))
        expected.append(deepcopy(settings))
    program.append(HALT)
    machine = Machine(program, durations, splits)
    dut = machine.dut

    async def testbench(ctx):
        assert await machine.start(ctx) is State.HALTED
        assert ctx.get(dut.error) == Error.NONE
        assert ctx.get(dut.pc) == len(program) - 1
        assert ctx.get(dut.runs) == len(durations)
        assert ctx.get(dut.cycles) == predicted_cycles(program, durations)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.cycles) == predicted_cycles(program, durations)

    machine.run(testbench)
    assert machine.seen == expected


def every_setting(splits):
    """Instructions that write each setting there is, once."""
    for nest, levels in LEVELS.items():
        yield Opcode.ORIGIN, {"nest": nest.value}
        for level in range(levels):
            yield Opcode.LOOP, {"nest": nest.value, "level": level}
    for level in range(LEVELS[Nest.ACTIVATION]):
        yield Opcode.STEP, {"level": level}
    for index in range(MAX_PASSES):
        yield Opcode.PASS, {"index": index}
    for opcode in setters(splits):
        if opcode is Opcode.LIMIT:
            yield from ((opcode, {"upper": upper}) for upper in (0, 1))
        elif opcode not in (Opcode.ORIGIN, Opcode.LOOP, Opcode.STEP, Opcode.PASS):
            yield opcode, {}


@pytest.mark.parametrize("splits", [False, True])
@pytest.mark.parametrize("part", [0, 1])
def test_every_setting_goes_where_it_belongs(part, splits):
    generator = random.Random(part)
    settings = plain(run_settings(ADDRESS_BITS, SHIFT_BITS, splits).from_bits(0))
    program = [CHECK]
    for opcode, chosen in list(every_setting(splits))[part::2]:
        fields = random_fields(generator, opcode) | chosen
        program.append(encode(opcode, **fields))
        apply(settings, opcode, fields)
    program += [run(), HALT]
    machine = Machine(program, (2,), splits)

    async def testbench(ctx):
        assert await machine.start(ctx) is State.HALTED

    machine.run(testbench)
    assert machine.seen == [settings]


def test_settings_behind_a_run_wait_for_the_next():
    """What follows a RUN is executed while it works, and only the next one sees it."""

    program = [CHECK, low(1), run(), low(2), low(3), run(), low(4), HALT]
    machine = Machine(program, (20, 5))

    async def testbench(ctx):
        assert await machine.start(ctx) is State.HALTED
        # Seven instructions and 25 cycles of runs, in part beside each other.
        assert ctx.get(machine.dut.cycles) == 4 + 20 + 5 + 1

    machine.run(testbench)
    assert [seen["post"]["low"] for seen in machine.seen] == [1, 3]


FAILURES = {
    "no check": ([HALT], Error.WRONG_VERSION),
    "opcode 13": ([CHECK, 13], Error.ILLEGAL_OPCODE),
    "opcode 63": ([CHECK, run(), 2**64 - 1], Error.ILLEGAL_OPCODE),
    "version": (
        [encode(Opcode.CHECK, version=VERSION + 1, fingerprint=FINGERPRINT, length=0)],
        Error.WRONG_VERSION,
    ),
    "fingerprint": (
        [encode(Opcode.CHECK, version=VERSION, fingerprint=FINGERPRINT ^ 1 << 31, length=0)],
        Error.WRONG_MACHINE,
    ),
    "later fingerprint": (
        [CHECK, run(), encode(Opcode.CHECK, version=VERSION, fingerprint=0, length=0)],
        Error.WRONG_MACHINE,
    ),
    **{
        f"level of {nest.name}": (
            [CHECK, encode(Opcode.LOOP, nest=nest, level=levels, last=1, step=1)],
            Error.NO_SUCH_LEVEL,
        )
        for nest, levels in LEVELS.items()
    },
    **{
        f"nest {nest} of {opcode.name}": (
            [CHECK, run(), encode(opcode, nest=nest, **fields)],
            Error.NO_SUCH_LEVEL,
        )
        for nest in (6, 7)
        for opcode, fields in (
            (Opcode.LOOP, {"level": 0, "last": 1, "step": 1}),
            (Opcode.ORIGIN, {"address": 0, "row": 0, "column": 0}),
        )
    },
    "level of step": ([CHECK, encode(Opcode.STEP, level=7, row=0, column=0)], Error.NO_SUCH_LEVEL),
    "no halt": ([CHECK] * WORDS, Error.NO_HALT),
    "run at the end": ([CHECK] * (WORDS - 1) + [run()], Error.NO_HALT),
}


def widths(run=1, operation=0, **tensors):
    fields = {"activation": 0, "residual": 0, "output": 0, **tensors}
    word = encode(Opcode.WIDTHS, run=run, operation=0, **fields)
    return word | operation << OPCODE_BITS + LAYOUTS[Opcode.WIDTHS]["operation"].offset


def rounding(stochastic, seed):
    fields = {"residual": 0, "residual_signed": 0, "offset": 0}
    return encode(Opcode.REQUANTIZE, stochastic=stochastic, seed=seed, **fields)


SPLIT_FAILURES = {
    "range": ([CHECK, low(1)], Error.ILLEGAL_OPCODE),
    "post": ([CHECK, Opcode.POST.value], Error.ILLEGAL_OPCODE),
    "opcode 16": ([CHECK, run(), 16], Error.ILLEGAL_OPCODE),
    "no width": ([CHECK, run(), widths(3)], Error.ILLEGAL_WIDTH),
    "wide input": ([CHECK, run(), widths(0, activation=1)], Error.ILLEGAL_WIDTH),
    "wide residual": ([CHECK, widths(1, residual=2)], Error.ILLEGAL_WIDTH),
    "wide output": ([CHECK, widths(1, output=3)], Error.ILLEGAL_WIDTH),
    "no operation": ([CHECK, widths(2), run(), widths(operation=4)], Error.ILLEGAL_OPERATION),
    "no seed": ([CHECK, rounding(0, 0), rounding(1, 1), rounding(1, 0)], Error.ILLEGAL_OPERATION),
}


@pytest.mark.parametrize("program, error", SPLIT_FAILURES.values(), ids=SPLIT_FAILURES)
def test_failures_where_codes_split(program, error):
    check_failure(program, error, True)


@pytest.mark.parametrize("program, error", FAILURES.values(), ids=FAILURES)
def test_failures(program, error):
    check_failure(program, error, False)


def check_failure(program, error, splits):
    """The first failing instruction is the last one; the runs before it end first."""
    runs = sum(word & 63 == Opcode.RUN.value for word in program[:-1])
    machine = Machine(program, (30,) * runs, splits)
    dut = machine.dut
    starts = machine.bench.watch(dut.start)

    async def testbench(ctx):
        assert await machine.start(ctx) is State.FAILED
        assert len(machine.seen) == runs
        assert Error(ctx.get(dut.error)) is error
        assert ctx.get(dut.pc) == len(program) - 1
        assert ctx.get(dut.runs) == runs
        await ctx.tick().repeat(3)
        # Nothing but a start leads out of it, and a start clears the error.
        await machine.control(ctx, Control.RESUME)
        assert ctx.get(dut.state) == State.FAILED
        await machine.control(ctx, Control.START)
        assert ctx.get(dut.state) == State.RUNNING
        assert ctx.get(dut.error) == Error.NONE

    machine.run(testbench)
    assert len(starts) == runs


def test_halt_at_the_last_address():
    program = [CHECK, low(7), run(), *[CHECK] * (WORDS - 4), HALT]
    machine = Machine(program, (4,))

    async def testbench(ctx):
        assert await machine.start(ctx) is State.HALTED
        assert ctx.get(machine.dut.pc) == WORDS - 1

    machine.run(testbench)
    assert [seen["post"]["low"] for seen in machine.seen] == [7]


def test_pause_and_resume():
    program = [CHECK, low(1), run(), low(2), run(), low(3), run(), HALT]
    durations = (9, 12, 4)
    machine = Machine(program, durations)
    dut = machine.dut

    async def testbench(ctx):
        ctx.set(dut.stop_after, 1)
        assert await machine.start(ctx) is State.PAUSED
        for ended, pc in ((1, 4), (2, 6), (3, 7)):
            assert ctx.get(dut.runs) == len(machine.seen) == ended
            assert ctx.get(dut.pc) == pc
            cycles = ctx.get(dut.cycles)
            # The host may look at the instructions meanwhile; the program goes on as it was.
            ctx.set(dut.host.read, 1)
            ctx.set(dut.host.address, 1)
            await ctx.tick()
            ctx.set(dut.host.read, 0)
            assert ctx.get(dut.host.read_data) == program[1]
            await ctx.tick().repeat(5)
            assert ctx.get(dut.cycles) == cycles
            # Resumed with the same limit it pauses again, and has started nothing.
            await machine.control(ctx, Control.RESUME)
            assert await machine.until_stopped(ctx) is State.PAUSED
            assert ctx.get(dut.runs) == ended
            assert ctx.get(dut.cycles) == cycles
            ctx.set(dut.stop_after, (ended + 1) % 4)
            await machine.control(ctx, Control.RESUME)
            state = await machine.until_stopped(ctx)
            assert state is (State.PAUSED if ended < 3 else State.HALTED)
        # As if there had been no pause.
        assert ctx.get(dut.cycles) == predicted_cycles(program, durations)

    machine.run(testbench)
    assert [seen["post"]["low"] for seen in machine.seen] == [1, 2, 3]


def test_starts():
    """A start while running does nothing; a later one begins with clear settings and counts."""
    span = encode(Opcode.RANGE, low=-5, high=5)
    machine = Machine([CHECK, run(), span, run(), HALT], (20, 4, 20, 4))
    dut = machine.dut

    async def testbench(ctx):
        counts = []
        for again in (Control.START, Control.RESUME):
            await machine.control(ctx, Control.START)
            await ctx.tick().repeat(8)
            await machine.control(ctx, again)
            assert await machine.until_stopped(ctx) is State.HALTED
            counts.append((ctx.get(dut.cycles), ctx.get(dut.runs)))
        assert counts[0] == counts[1] == (3 + 24 + 1, 2)

    machine.run(testbench)
    assert [seen["post"]["low"] for seen in machine.seen] == [0, -5, 0, -5]


def test_nothing_happens_before_a_start():
    machine = Machine([CHECK, HALT])

    async def testbench(ctx):
        await machine.control(ctx, Control.RESUME)
        await ctx.tick().repeat(5)
        assert ctx.get(machine.dut.state) == State.IDLE
        assert ctx.get(machine.dut.cycles) == 0

    machine.run(testbench)


def test_conversion():
    rtlil.convert(sequencer())
