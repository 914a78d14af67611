"""Programs written by hand for a small machine, its host, and the cycles that the docs give."""

import numpy as np

from quant.numbers import requantize
from rtl.accelerator import Accelerator
from rtl.architecture import Architecture
from rtl.engines.shift_gemm import ShiftGemm
from rtl.isa import LEVELS, VERSION, Nest, Opcode, Path, encode
from rtl.packing import pack, unpack
from rtl.registers import REGION_SHIFT, Control, Error, Region, Register, State
from sim.interpreted import InterpretedModel


def architecture(vector_words=3, groups=2, weights="w3", queue_words=32):
    """A small machine: 4 lanes, 6-bit activations."""
    return Architecture.from_dict(
        {
            "name": "test",
            "part": "xc7z010",
            "clock_mhz": 100,
            "engine": {
                "kind": "shift_gemm",
                "lanes": 4,
                "vector_words": vector_words,
                "groups": groups,
                "weights": weights,
                "dsp_columns": 0,
            },
            "numbers": {
                "activation_bits": 6,
                "accumulator_bits": 20,
                "pass_shift_bits": 2,
                "logarithmic": 0,
            },
            "memory": {
                "feature_words": 256,
                "weight_words": 400,
                "parameter_words": 16,
                "accumulator_words": 32,
                "queue_words": queue_words,
                "instruction_words": 128,
            },
        }
    )


ARCH = architecture()
LANES, BITS = ARCH.lanes, ARCH.activation_bits
HALT = encode(Opcode.HALT)


def check(arch):
    return encode(Opcode.CHECK, version=VERSION, fingerprint=arch.fingerprint, length=0)


class Host:
    """The host's side of a machine in Amaranth's simulator."""

    def __init__(self, arch=ARCH):
        self.model = InterpretedModel(Accelerator(arch), "accelerator")

    def write(self, region, address, words):
        """Words as rows of pieces, padded to a power of two of them."""
        pieces = 1 << (words.shape[1] - 1).bit_length()
        words = np.pad(words, ((0, 0), (0, pieces - words.shape[1])))
        self.model.write((region << REGION_SHIFT) + address * pieces, words.ravel())

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

    def parameters(self, address, bias, shift):
        """Parameter words of blocks: bias and shift ``[blocks, lanes]``."""
        width = ARCH.accumulator_bits
        channels = (np.array(bias) & (1 << width) - 1) | np.array(shift) << width
        self.write(Region.PARAMETERS, address, pack(channels, width + 5))


def nest(which, address, levels, row=0, column=0):
    """Instructions that set a nest up: levels of (count, address, row, column) strides."""
    levels = [(*level, 0, 0, 0)[:4] for level in levels]
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


def vector(word_step, group_step, group_shift=0):
    fields = {"word_step": word_step, "group_step": group_step, "group_shift": group_shift}
    return encode(Opcode.VECTOR, **fields)


def members(count, last_level=0):
    return encode(Opcode.MEMBERS, last_level=last_level, count=count)


def post(low, high, **settings):
    names = ("residual", "residual_signed", "residual_left", "right", "logarithmic")
    return [
        encode(Opcode.POST, **{name: settings.get(name, 0) for name in names}),
        encode(Opcode.RANGE, low=low, high=high),
    ]


def run(path, signed=0):
    return [encode(Opcode.RUN, path=path, signed=signed, layer=0, continues=0)]


def duration(taken, groups):
    """D of docs/machine.md, of the cycles in which the finishing words of sums are taken."""
    start = -1
    for cycle in taken:
        start = max(cycle + 4, start + groups)
    return start + groups - 1 + 9


def bypass_duration(windows, size, groups):
    return duration([8 + w * size + size - 1 for w in range(windows)], groups)


def engine_duration(arch, split, reductions, outputs, positions):
    """Of ``outputs`` groups of outputs, each of so many tiles, each for so many positions."""
    tile = LANES << split
    first = max(tile + 5, 8)
    taken = [
        first + t * max(positions, tile + 1) + p + arch.engine_config.latency
        for t in range(reductions * outputs)
        if t % reductions == reductions - 1
        for p in range(positions)
    ]
    return duration(taken, arch.engine_config.groups)


def predicted_cycles(program, durations):
    durations, time, free = iter(durations), 2, 0
    for word in program:
        if word & 63 == Opcode.HALT.value:
            return max(time, free) + 1
        if word & 63 == Opcode.RUN.value:
            time = max(time, free)
            free = time + next(durations)
        time += 1
    raise AssertionError("no HALT")


def codes(rng, shape, signed=False):
    """Random codes of full range with both extremes; channels last."""
    low = -(1 << BITS - 1) if signed else 0
    values = rng.integers(low, low + (1 << BITS), shape)
    values.flat[0], values.flat[-1] = low, low + (1 << BITS) - 1
    return values


class Convolution:
    """3×3, padded, two blocks of output channels, weights in two passes."""

    HEIGHT, WIDTH, OUTPUTS, PASSES = 4, 5, 2, 2

    def __init__(self, arch, seed, signed, source, target, *, blocks=1, split=0, stride=1):
        rng = np.random.default_rng(seed)
        config = arch.engine_config
        words, groups = config.vector_words, config.groups
        height, width = self.HEIGHT, self.WIDTH
        self.signed, self.target, self.source = signed, target, source
        self.input = codes(rng, (height, width, blocks * LANES), signed)
        levels = config.plan.format.levels
        shape = (self.PASSES, self.OUTPUTS * LANES, blocks * LANES, 3, 3)
        terms = rng.choice([*levels, *-levels], shape)
        weights = terms[0] + (terms[1] << 2)

        # The reference: padded windows times weights.
        padded = np.pad(self.input, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        windows = windows[::stride, ::stride]
        self.rows, self.columns = windows.shape[:2]
        bias = rng.integers(-2000, 2000, self.OUTPUTS * LANES)
        shift = rng.integers(2, 7, self.OUTPUTS * LANES)
        total = np.einsum("yxikl,oikl->yxo", windows, weights) + bias
        self.output = requantize(total, shift, -20, 31).reshape(-1, LANES)

        # What the engine has too much, of all weights but the zeros of an overshooting vector.
        excess = ShiftGemm.excess(config, terms) + signed * (terms << BITS - 1)
        excess = (excess[0] + (excess[1] << 2)).sum(axis=(1, 2, 3))
        run_words = 3 * blocks
        vectors = -(-run_words // words)
        spare = (vectors * words - run_words) * 3 * LANES
        nothing = ShiftGemm.excess(config, np.zeros(1, np.int64))[0]
        excess = excess + spare * nothing * 5
        self.bias = (bias - excess).reshape(self.OUTPUTS, LANES)
        self.shift = shift.reshape(self.OUTPUTS, LANES)

        # Columns of tiles: a kernel row is a run of words, cut into vectors.
        runs = terms.reshape(self.PASSES, -1, blocks, LANES, 3, 3).transpose(0, 1, 4, 5, 2, 3)
        runs = runs.reshape(self.PASSES, -1, 3, run_words * LANES)
        runs = np.pad(runs, ((0, 0),) * 3 + ((0, vectors * words * LANES - runs.shape[3]),))
        # [pass, group of outputs, column of the tile, kernel row, vector, lane]
        tile = LANES << split
        tiles = runs.reshape(self.PASSES, -1, tile, 3, vectors, words * LANES)
        tiles = tiles.transpose(1, 0, 3, 4, 2, 5).reshape(-1, words * LANES)
        self.weights = pack(config.plan.format.encode(tiles), config.plan.format.bits)

        across = groups >> split
        steps = -(-self.columns // across)
        positions = steps * self.rows
        outputs = self.OUTPUTS >> split
        row = width * blocks
        pitch = self.OUTPUTS
        self.program = [
            *nest(
                Nest.ACTIVATION,
                # The first window begins above and left of the map, perhaps before the memory.
                (source - row - blocks) % arch.memory.feature_words,
                [
                    (steps, stride * across * blocks, 0, stride * across * blocks),
                    (self.rows, stride * row, stride, 0),
                    (vectors, words, 0, words),
                    (3, row, 1, 0),
                    (self.PASSES, 0),
                    (outputs, 0),
                ],
                row=-1,
                column=-blocks,
            ),
            vector(1, stride * blocks, split),
            encode(Opcode.BOUNDS, rows=height, columns=row),
            encode(Opcode.ENGINE, settings=(positions - 1) | int(signed) << 16 | split << 17),
            encode(Opcode.PASS, index=0, shift=0),
            encode(Opcode.PASS, index=1, shift=2),
            *nest(Nest.WEIGHT, 0, [(len(self.weights), 1)]),
            *nest(Nest.SUM, 0, [(positions, 1), (3 * vectors, 0), (self.PASSES, 0), (outputs, 0)]),
            *nest(
                Nest.PARAMETER,
                0,
                [(1 << split, 1), (across, 0), (positions, 0), (outputs, 1 << split)],
            ),
            *nest(
                Nest.OUTPUT,
                target,
                [
                    (groups, 1 if split else pitch),
                    (steps, across * pitch),
                    (self.rows, self.columns * pitch),
                    (outputs, 1 << split),
                ],
            ),
            members((self.columns - (steps - 1) * across) << split),
            *post(-20, 31),
            *run(Path.ENGINE),
        ]
        reductions = 3 * vectors * self.PASSES
        self.duration = engine_duration(arch, split, reductions, outputs, positions)

    def load(self, host):
        host.write(Region.WEIGHTS, 0, self.weights)
        host.put(self.source, self.input.reshape(-1, LANES))
        host.parameters(0, self.bias, self.shift)

    def check(self, host):
        got = host.take(self.target, len(self.output))
        assert np.array_equal(got, self.output & (1 << BITS) - 1)


def run_program(host, arch, layers):
    """Load and run a program of (instructions, duration); the cycles must be those predicted."""
    program = [check(arch), *(word for words, _ in layers for word in words), HALT]
    host.load(program)
    expected = predicted_cycles(program, [cycles for _, cycles in layers])
    assert host.start() == (State.HALTED, Error.NONE, expected)


def max_pool(source, target, height, width, signed, groups, parameter):
    """3×3, stride 2, padded, of ``groups`` blocks."""
    rows, columns = (height + 1) // 2, (width + 1) // 2
    low = -(1 << BITS - 1) if signed else 0
    row = width * groups
    windows = rows * columns
    program = [
        *nest(
            Nest.ACTIVATION,
            (source - row - groups) % ARCH.memory.feature_words,
            [
                (3, groups, 0, groups),
                (3, row, 1, 0),
                (columns, 2 * groups, 0, 2 * groups),
                (rows, 2 * row, 2, 0),
            ],
            row=-1,
            column=-groups,
        ),
        vector(1, 1),
        encode(Opcode.BOUNDS, rows=height, columns=row),
        *nest(Nest.SUM, 0, [(1, 1), (9, 0), (1, 0), (windows, 0)]),
        *nest(Nest.PARAMETER, parameter, [(groups, 0), (1, 0), (windows, 0)]),
        *nest(Nest.OUTPUT, target, [(groups, 1), (windows, groups)]),
        members(groups),
        *post(low, low + (1 << BITS) - 1),
        *run(Path.BYPASS, signed),
    ]
    return program, bypass_duration(windows, 9, groups)


def largest(picture, signed):
    """What :func:`max_pool` must give: words of codes."""
    low = -(1 << BITS - 1) if signed else 0
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)), constant_values=low)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    return windows[::2, ::2].max(axis=(3, 4)).reshape(-1, LANES)


def addition(source, other, target, count, signed, parameter, groups=2):
    """``(a + 4 * b) / 8`` of ``count`` words, ``groups`` at a time: the shift is 3."""
    program = [
        *nest(Nest.ACTIVATION, source, [(count // groups, groups, 0, groups)]),
        vector(1, 1),
        encode(Opcode.BOUNDS, rows=1, columns=count),
        *nest(Nest.SUM, 0, [(1, 1), (1, 0), (1, 0), (count // groups, 0)]),
        *nest(Nest.PARAMETER, parameter, [(count, 0)]),
        *nest(Nest.RESIDUAL, other, [(groups, 1), (count // groups, groups)]),
        *nest(Nest.OUTPUT, target, [(groups, 1), (count // groups, groups)]),
        members(groups),
        *post(
            -(1 << BITS - 1) if signed else 0,
            (1 << BITS - 1) - 1 if signed else (1 << BITS) - 1,
            residual=1,
            residual_signed=signed,
            right=1,
        ),
        *run(Path.BYPASS, signed),
    ]
    return program, bypass_duration(count // groups, 1, groups)


def added(a, b, signed):
    low = -(1 << BITS - 1) if signed else 0
    return requantize(a + 4 * b, 3, low, low + (1 << BITS) - 1) & (1 << BITS) - 1
