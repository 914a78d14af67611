"""The whole machine on programs written by hand: results against numpy, cycles against the docs."""

import numpy as np
import pytest
from amaranth.back import rtlil

from quant.numbers import decode_terms, requantize
from rtl.accelerator import Accelerator
from rtl.architecture import Architecture
from rtl.isa import LEVELS, VERSION, Accumulate, Nest, Opcode, Path, encode
from rtl.packing import pack, unpack
from rtl.post import parameter_word
from rtl.registers import ID, REGION_SHIFT, Control, Error, Region, Register, State
from sim.interpreted import InterpretedModel

ARCH = Architecture.from_dict(
    {
        "name": "test",
        "part": "xc7z010",
        "clock_mhz": 100,
        "engine": {"kind": "shift_gemm", "lanes": 4, "term_bits": 3},
        "numbers": {"activation_bits": 6, "accumulator_bits": 20, "pass_shift_bits": 2},
        "memory": {
            "feature_words": 64,
            "weight_words": 200,
            "parameter_words": 16,
            "accumulator_words": 32,
            "instruction_words": 128,
        },
    }
)
LANES, BITS = ARCH.lanes, ARCH.activation_bits
BANK = ARCH.memory.feature_words
CHECK = encode(Opcode.CHECK, version=VERSION, fingerprint=ARCH.fingerprint)
HALT = encode(Opcode.HALT)


class Host:
    """The host's side of a machine in Amaranth's simulator."""

    def __init__(self):
        self.model = InterpretedModel(Accelerator(ARCH), "accelerator")

    def write(self, region, address, words):
        base = (region << REGION_SHIFT) + address * words.shape[1]
        self.model.write(base, words.ravel())

    def get(self, register):
        return int(self.model.read(register, 1)[0])

    def set(self, register, value):
        self.model.write(register, np.array([value]))

    def load(self, program):
        words = np.array(program, np.uint64).view(np.uint32).reshape(-1, 2)
        self.write(Region.INSTRUCTIONS, 0, words)

    def wait(self):
        """State, error and cycles when the machine does not run any more."""
        while True:
            status = self.get(Register.STATUS)
            if status & 0xFF != State.RUNNING:
                return State(status & 0xFF), Error(status >> 8), self.get(Register.CYCLES)
            self.model.tick(20)

    def start(self):
        self.set(Register.CONTROL, Control.START)
        return self.wait()

    def put(self, address, codes):
        """Words of codes ``[words, lanes]`` into the feature memory."""
        self.write(Region.FEATURES, address, pack(codes & (1 << BITS) - 1, BITS))

    def take(self, address, count):
        words = self.model.read((Region.FEATURES << REGION_SHIFT) + address, count)
        return unpack(words.reshape(count, 1), BITS, LANES)


def nest(which, address, levels, row=0, column=0):
    """Instructions that set a nest up: levels of (count, address, row, column) strides."""
    levels = [(*level, 0, 0)[:4] for level in levels]
    levels += [(1, 0, 0, 0)] * (LEVELS[which] - len(levels))
    words = [encode(Opcode.ORIGIN, nest=which, address=address, row=row, column=column)]
    back = np.zeros(3, np.int64)
    for i, (count, *strides) in enumerate(levels):
        # A level that advances takes the lower ones back to their beginning.
        step, *position = (np.array(strides) - back).tolist()
        back += (count - 1) * np.array(strides)
        words.append(encode(Opcode.LOOP, nest=which, level=i, last=count - 1, step=step))
        if which is Nest.ACTIVATION:
            words.append(encode(Opcode.STEP, level=i, row=position[0], column=position[1]))
    return words


def post(low, high, **settings):
    names = ("uniform", "shift", "residual", "residual_shift", "residual_signed")
    return [
        encode(Opcode.POST, **{name: settings.get(name, 0) for name in names}),
        encode(Opcode.RANGE, low=low, high=high),
    ]


def run(path, accumulate=Accumulate.ADD, signed=0):
    return [encode(Opcode.RUN, path=path, accumulate=accumulate, signed=signed, layer=0)]


def bypass_duration(groups, rounds, positions):
    """D of docs/machine.md."""
    return 4 + groups * ((rounds - 1) * max(positions, 3) + positions) - 1 + 9


def engine_duration(tiles, positions):
    latency = ARCH.engine_config.latency
    return LANES + 3 + (tiles - 1) * max(positions, LANES + 1) + positions - 1 + latency + 9


def predicted_cycles(program, durations):
    durations, time, free = iter(durations), 1, 0
    for word in program:
        if word & 63 == Opcode.HALT.value:
            return max(time, free) + 1
        if word & 63 == Opcode.RUN.value:
            time = max(time, free)
            free = time + next(durations)
        time += 1
    raise AssertionError("no HALT")


def codes(rng, shape, signed=False):
    """Random codes of full range with both extremes; channel-last."""
    low = -(1 << BITS - 1) if signed else 0
    values = rng.integers(low, low + (1 << BITS), shape)
    values.flat[0], values.flat[-1] = low, low + (1 << BITS) - 1
    return values


class Convolution:
    """4 channels to 8, 3×3, padded, weights of two terms."""

    HEIGHT, WIDTH, GROUPS, PASSES = 4, 5, 2, 2

    def __init__(self, seed, signed, source, target, stride=1):
        rng = np.random.default_rng(seed)
        self.signed, self.target, self.stride = signed, target, stride
        height, width = self.HEIGHT, self.WIDTH
        self.input = codes(rng, (height, width, LANES), signed)
        # Terms [group, pass, row, column, output channel, input channel].
        config = ARCH.engine_config
        term_codes = rng.integers(0, 1 << config.term_bits, (2, 2, 3, 3, LANES, LANES))
        terms = decode_terms(term_codes, config.term_bits)
        self.weights = pack(term_codes.reshape(-1, LANES), config.term_bits)
        # The second pass has its terms negated and shifted by two.
        scale = np.array([1, -4])[:, None, None, None, None]
        bias = rng.integers(-2000, 2000, self.GROUPS * LANES)
        shift = rng.integers(2, 7, self.GROUPS * LANES)
        weights = (terms * scale).sum(axis=1)
        complement = np.where(terms < 0, -terms, 0) * ((1 << BITS) - 1)
        correction = complement + signed * (1 << BITS - 1) * terms
        correction = (correction * scale).sum(axis=(1, 2, 3, 5)).ravel()
        self.parameters = {"bias": bias - correction, "shift": shift, "residual_shift": 0 * bias}
        # The reference: padded windows times weights.
        padded = np.pad(self.input, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        windows = windows[::stride, ::stride]
        total = np.einsum("yxikl,gkloi->gyxo", windows, weights)
        total += bias.reshape(self.GROUPS, 1, 1, LANES)
        self.rows, self.columns = windows.shape[:2]
        self.positions = self.rows * self.columns
        scaled = requantize(total, shift.reshape(self.GROUPS, 1, 1, LANES), -20, 31)
        self.output = scaled.reshape(-1, LANES)
        self.program = [
            *nest(
                Nest.ACTIVATION,
                # The first window begins above and left of the map, perhaps before the bank.
                (source & BANK) | (source - width - 1) % BANK,
                [
                    (self.columns, stride, 0, stride),
                    (self.rows, stride * width, stride, 0),
                    (3, 1, 0, 1),
                    (3, width, 1, 0),
                    (self.PASSES, 0),
                    (self.GROUPS, 0),
                ],
                row=-1,
                column=-1,
            ),
            encode(Opcode.BOUNDS, rows=height, columns=width, fill=0),
            encode(Opcode.ENGINE, settings=(self.positions - 1) | int(signed) << 16),
            encode(Opcode.PASS, index=0, shift=0, negate=0),
            encode(Opcode.PASS, index=1, shift=2, negate=1),
            *nest(Nest.WEIGHT, 0, [(len(self.weights), 1)]),
            *nest(Nest.SUM, 0, [(self.positions, 1), (9, 0), (self.PASSES, 0), (self.GROUPS, 0)]),
            *nest(Nest.PARAMETER, 0, [(self.GROUPS * LANES, 1)]),
            *nest(Nest.OUTPUT, target, [(self.GROUPS * self.positions, 1)]),
            *post(-20, 31),
            *run(Path.ENGINE),
        ]
        self.duration = engine_duration(9 * self.PASSES * self.GROUPS, self.positions)

    def load(self, host, source):
        host.write(Region.WEIGHTS, 0, self.weights)
        host.put(source, self.input.reshape(-1, LANES))
        words = np.zeros(self.GROUPS * LANES, np.int64)
        offset = 0
        for name, field in parameter_word(ARCH.accumulator_bits):
            width = field.width
            words |= (self.parameters[name] & (1 << width) - 1) << field.offset
            offset += width
        host.write(Region.PARAMETERS, 0, pack(words[:, None], offset))

    def check(self, host):
        got = host.take(self.target, len(self.output))
        assert np.array_equal(got, self.output & (1 << BITS) - 1)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("source, stride", [(0, 1), (BANK + 7, 2)])
def test_convolution(signed, source, stride):
    host = Host()
    layer = Convolution(1, signed, source, BANK - source if source == 0 else 3, stride)
    layer.load(host, source)
    program = [CHECK, *layer.program, HALT]
    host.load(program)
    state, error, cycles = host.start()
    assert (state, error) == (State.HALTED, Error.NONE)
    layer.check(host)
    assert cycles == predicted_cycles(program, [layer.duration])
    assert host.get(Register.RUNS) == 1


def max_pool(source, target, height, width, signed):
    """2×2, stride 2, of one block, its output's bounds clipped to codes."""
    rows, columns = height // 2, width // 2
    low = -(1 << BITS - 1) if signed else 0
    program = [
        *nest(
            Nest.ACTIVATION,
            source,
            [(columns, 2, 0, 2), (rows, 2 * width, 2, 0), (2, 1, 0, 1), (2, width, 1, 0)],
        ),
        encode(Opcode.BOUNDS, rows=height, columns=width, fill=0),
        *nest(Nest.SUM, 0, [(rows * columns, 1), (4, 0)]),
        *nest(Nest.OUTPUT, target, [(rows * columns, 1)]),
        *post(low, low + (1 << BITS) - 1, uniform=1),
        *run(Path.BYPASS, Accumulate.MAX, signed),
    ]
    return program, bypass_duration(1, 4, rows * columns)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("height, width", [(4, 6), (2, 2), (2, 4)])
def test_max_pool(signed, height, width):
    host = Host()
    picture = codes(np.random.default_rng(height), (height, width, LANES), signed)
    host.put(5, picture.reshape(-1, LANES))
    pool, duration = max_pool(5, 40, height, width, signed)
    program = [CHECK, *pool, HALT]
    host.load(program)
    state, error, cycles = host.start()
    assert (state, error) == (State.HALTED, Error.NONE)
    largest = picture.reshape(height // 2, 2, width // 2, 2, LANES).max(axis=(1, 3))
    got = host.take(40, height * width // 4)
    assert np.array_equal(got, largest.reshape(-1, LANES) & (1 << BITS) - 1)
    assert cycles == predicted_cycles(program, [duration])


def addition(source, other, target, count, signed):
    """``(a + 4 * b) / 8`` of ``count`` words in two banks, in groups of two."""
    program = [
        *nest(Nest.ACTIVATION, source, [(count, 1)]),
        encode(Opcode.BOUNDS, rows=1, columns=1, fill=0),
        *nest(Nest.SUM, 0, [(2, 1), (1, 0), (1, 0), (count // 2, 0)]),
        *nest(Nest.RESIDUAL, other, [(count, 1)]),
        *nest(Nest.OUTPUT, target, [(count, 1)]),
        *post(
            -(1 << BITS - 1) if signed else 0,
            (1 << BITS - 1) - 1 if signed else (1 << BITS) - 1,
            uniform=1,
            shift=3,
            residual=1,
            residual_shift=2,
            residual_signed=signed,
        ),
        *run(Path.BYPASS, Accumulate.ADD, signed),
    ]
    return program, bypass_duration(count // 2, 1, 2)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("source, other, target", [(0, BANK, 20), (BANK + 3, 9, BANK + 30)])
def test_residual_addition(signed, source, other, target):
    host = Host()
    rng = np.random.default_rng(source)
    a, b = codes(rng, (12, LANES), signed), codes(rng, (12, LANES), signed)
    host.put(source, a)
    host.put(other, b)
    add, duration = addition(source, other, target, 12, signed)
    program = [CHECK, *add, HALT]
    host.load(program)
    state, error, cycles = host.start()
    assert (state, error) == (State.HALTED, Error.NONE)
    low = -(1 << BITS - 1) if signed else 0
    high = (1 << BITS - 1) - 1 if signed else (1 << BITS) - 1
    expected = requantize(a + 4 * b, 3, low, high)
    assert np.array_equal(host.take(target, 12), expected & (1 << BITS) - 1)
    assert cycles == predicted_cycles(program, [duration])


def network():
    """A convolution, a pool of its first block, and an addition of both banks: one program."""
    layer = Convolution(3, False, 0, BANK)
    pool, pool_duration = max_pool(BANK, 40, 4, 4, 1)
    add, add_duration = addition(40, BANK, 50, 4, 1)
    program = [CHECK, *layer.program, *pool, *add, HALT]
    durations = [layer.duration, pool_duration, add_duration]
    # The convolution's five columns are read as a map of four.
    block = layer.output[:16].reshape(2, 2, 2, 2, LANES).max(axis=(1, 3)).reshape(-1, LANES)
    half = 1 << BITS - 1
    result = requantize(block + 4 * layer.output[:4], 3, -half, half - 1)
    return layer, program, durations, result & 2 * half - 1


def test_program_of_several_runs():
    host = Host()
    layer, program, durations, result = network()
    layer.load(host, 0)
    host.load(program)
    expected = predicted_cycles(program, durations)
    # Again and again, with the same result in the same time.
    for _ in range(2):
        assert host.start() == (State.HALTED, Error.NONE, expected)
        layer.check(host)
        assert np.array_equal(host.take(50, 4), result)
        host.put(BANK, np.zeros((40, LANES), np.int64))
        host.put(40, np.zeros((14, LANES), np.int64))
    # Run by run: what each has written can be read, and the cycles are the same.
    control = Control.START
    for ended in (1, 2, 3):
        host.set(Register.STOP_AFTER, ended)
        host.set(Register.CONTROL, control)
        control = Control.RESUME
        assert host.wait()[0] is State.PAUSED
        assert host.get(Register.RUNS) == ended
        layer.check(host)
        assert np.array_equal(host.take(50, 4), result) == (ended == 3)
    host.set(Register.STOP_AFTER, 0)
    host.set(Register.CONTROL, Control.RESUME)
    assert host.wait() == (State.HALTED, Error.NONE, expected)


@pytest.mark.parametrize("after", [3, 60, 75, 100, 333])
def test_stop_and_start_again(after):
    """A stop at any moment leaves a machine that runs the next program as if new."""
    host = Host()
    layer, program, durations, result = network()
    layer.load(host, 0)
    host.load(program)
    host.set(Register.CONTROL, Control.START)
    host.model.tick(after)
    host.set(Register.CONTROL, Control.STOP)
    host.model.tick()
    assert host.wait() == (State.IDLE, Error.NONE, 0)
    assert host.start() == (State.HALTED, Error.NONE, predicted_cycles(program, durations))
    assert np.array_equal(host.take(50, 4), result)


def test_identity_and_refusal():
    host = Host()
    assert host.model.read(0, 3).tolist() == [ID, VERSION, ARCH.fingerprint]
    host.load([encode(Opcode.CHECK, version=VERSION, fingerprint=ARCH.fingerprint ^ 1), HALT])
    assert host.start()[:2] == (State.FAILED, Error.WRONG_MACHINE)
    assert host.get(Register.PC) == 0
    host.load([CHECK, HALT])
    assert host.start() == (State.HALTED, Error.NONE, 3)


def test_conversion():
    rtlil.convert(Accelerator(ARCH))
