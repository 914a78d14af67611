import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.accumulate import Accumulator
from rtl.isa import LEVELS, MAX_PASSES, Nest
from rtl.nest import LoopNest, nest_word
from rtl.pool import WindowMaximum
from sim.bench import Bench, plain

SIZE = LANES, SUM_BITS, BITS, WORDS, SHIFT_BITS, BYPASS_BITS = 3, 9, 16, 32, 3, 6
NO_SHIFTS = [0] * MAX_PASSES
IDLE = {"valid": 0, "step.valid": 0}


def nest(positions, steps, passes, groups):
    """Settings of SUM as the compiler makes them: ``positions`` accumulators, reused by groups."""
    counts = (positions, steps, passes, groups)
    back = (1 - positions) % WORDS
    return {
        "address": 5,
        "levels": [{"last": k - 1, "step": back if i else 1} for i, k in enumerate(counts)],
    }


def random_sums(count, sum_bits=SUM_BITS, seed=0):
    """Full range, and the extremes."""
    half = 1 << sum_bits - 1
    sums = np.random.default_rng(seed).integers(-half, half, (count, LANES))
    sums[0], sums[-1] = -half, half - 1
    return sums


def rows_of(settings, sums, gaps, rng):
    """Rows to play for the words of a run, and in which of them each finishing word is.

    A word's step is offered with the word before it, or in a cycle of its own between the two.
    """
    address_bits = (WORDS - 1).bit_length()
    steps = LoopNest.model(settings, address_bits)
    assert len(steps["address"]) == len(sums)
    finishes = steps["last"][:, 1] & steps["last"][:, 2]

    def offer(n):
        return {"step.valid": 1, "step.payload": {name: v[n] for name, v in steps.items()}}

    rows, ends = [IDLE | offer(0)], []
    for n, word in enumerate(sums):
        following = offer(n + 1) if n + 1 < len(sums) else {"step.valid": 0}
        while rng.random() < gaps:
            # The step waits, and the one behind it is not taken; the sums are of no word.
            rows.append(IDLE | following | {"sums": -word - 1})
        if finishes[n]:
            ends.append(len(rows))
        late = rng.random() < gaps
        rows.append({"valid": 1, "sums": word} | ({"step.valid": 0} if late else following))
        if late:
            rows.append(IDLE | following)
    return rows, steps, ends


def check(shown, ends, expected, latency):
    """The finished words, each in its cycle, and no others."""
    cycles = [cycle for cycle, valid in enumerate(shown["o_valid"]) if valid]
    assert cycles == [end + latency for end in ends]
    assert [shown["o"][cycle] for cycle in cycles] == plain(expected)


def run(settings, sums, shifts=NO_SHIFTS, gaps=0.0, seed=0, size=SIZE):
    """Play a run on the path of the engine; compare every cycle with the model."""
    dut = Accumulator(*size)
    rows, steps, ends = rows_of(settings, sums, gaps, np.random.default_rng(seed))
    rows[0] |= {"passes": shifts}
    expected = dut.model(dut.bits, shifts, steps, sums)
    shown = Bench(dut).played([*rows, IDLE, {}, {}], ["o_valid", "o", "step.ready"])
    check(shown, ends, expected, dut.latency)
    # The next step is taken when none waits, or with the word of the one that does.
    waits, ready = False, []
    for row in rows:
        ready.append(int(not waits or row["valid"]))
        waits = bool(row["step.valid"]) if ready[-1] else waits
    assert shown["step.ready"][: len(rows)] == ready
    return expected


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize(
    "shape",
    # One address over and over, two in turn, more of them; one step, passes, groups.
    [(1, 1, 1, 6), (1, 9, 2, 3), (2, 7, 1, 3), (3, 5, 1, 2), (4, 3, 2, 2), (32, 2, 2, 1)],
)
def test_sums_of_every_group(shape, gaps):
    for seed in range(2):
        sums = random_sums(np.prod(shape), seed=seed)
        expected = run(nest(*shape), sums, gaps=gaps, seed=seed)
        # Without shifts the model is a sum.
        positions, steps, passes, groups = shape
        total = sums.reshape(groups, steps * passes, positions, LANES).sum(axis=1)
        assert np.array_equal(expected, total.reshape(-1, LANES))


@pytest.mark.parametrize("bits, sum_bits", [(16, 9), (16, 20), (24, 16), (32, 20)])
def test_shifts_of_passes(bits, sum_bits):
    """Every pass has its own shift; sums that outgrow the accumulators wrap."""
    shifts = [(5 * k + 3) % 8 for k in range(MAX_PASSES)]
    size = LANES, sum_bits, bits, WORDS, SHIFT_BITS, BYPASS_BITS
    for positions, gaps in ((1, 0.0), (2, 0.3)):
        shape = (positions, 2, MAX_PASSES, 2)
        run(nest(*shape), random_sums(np.prod(shape), sum_bits), shifts, gaps, size=size)


def test_extremes_wrap():
    # The extreme sum, shifted the furthest, over and over.
    for value in (-256, 255):
        sums = np.full((54, LANES), value)
        expected = run(nest(3, 9, 2, 1), sums, [7] * MAX_PASSES)
        wrapped = (18 * value * 128 + 2**15) % 2**16 - 2**15
        assert wrapped != 18 * value * 128
        assert (expected == wrapped).all()


@pytest.mark.parametrize("gaps", [0.0, 0.2, 0.6])
def test_addresses_in_any_order(gaps):
    """Steps that come back to an address at once, after one and after more others."""
    rng = np.random.default_rng(3)
    for seed in range(8):
        counts = rng.integers(1, 6, 4)
        # A step of 0 goes to one address again and again, one of half the memory to two in turn.
        first = int(rng.choice([0, 1, WORDS // 2, WORDS - 1]))
        # Every accumulation is started first: what the memory held before does not matter.
        back = -(int(counts[0]) - 1) * first % WORDS
        settings = {
            "address": int(rng.integers(WORDS)),
            "levels": [
                {"last": int(k) - 1, "step": step}
                for k, step in zip(counts, (first, back, back, int(rng.integers(WORDS))))
            ],
        }
        run(settings, random_sums(np.prod(counts), seed=seed), gaps=gaps, seed=seed)


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (1, 1, 1, 6), (5, 2, 2, 3), (32, 1, 1, 1)])
def test_sums_go_on_from_run_to_run(shape, gaps):
    """Runs of one set of outputs, each of other inputs: the last gives the sums of all.

    A run that does not continue forgets what was there, extremes included; other shifts, and idle
    cycles between runs, change nothing.
    """
    positions, steps, passes, groups = shape
    dut = Accumulator(*SIZE, continues=True)
    rng = np.random.default_rng(positions)
    store: dict[int, np.ndarray] = {}
    rows, ends, expected, total = [], [], [], 0
    for number, continues in enumerate((0, 1, 1, 0, 1)):
        # Every group has accumulators of its own.
        settings = nest(*shape)
        settings["levels"][3]["step"] = 1
        shifts = [int(shift) for shift in rng.integers(0, 1 << SHIFT_BITS, MAX_PASSES)]
        sums = random_sums(np.prod(shape), seed=number)
        sums[: len(sums) // 2] = -256 if number < 3 else 255
        words, walk, finished = rows_of(settings, sums, gaps, rng)
        words[0] |= {"passes": shifts, "continues": continues, "bypass": 0}
        ends.extend(len(rows) + end for end in finished)
        rows += [*words, IDLE, *[{}] * int(rng.integers(2, 5))]
        expected += plain(dut.model(BITS, shifts, walk, sums, store, bool(continues)))
        each = sums.reshape(groups, passes, steps, positions, LANES).sum(axis=2)
        own = (each << np.array(shifts[:passes])[:, None, None]).sum(axis=1)
        total = total * continues + own.reshape(-1, LANES)
        wrapped = (total + 2**15) % 2**16 - 2**15
        assert expected[-len(wrapped) :] == plain(wrapped)
    shown = Bench(dut).played([*rows, IDLE, {}, {}], ["o_valid", "o"])
    check(shown, ends, expected, dut.latency)


class Bypassing(wiring.Component):
    """The block behind the maximum of windows, as in the machine, with one group."""

    def __init__(self):
        self.accumulator = Accumulator(*SIZE, continues=True)
        self.pool = WindowMaximum(1, LANES, BYPASS_BITS - 1)
        word = nest_word(LEVELS[Nest.SUM], self.accumulator.address_bits, False)
        super().__init__(
            {
                "step": In(stream.Signature(word)),
                "valid": In(1),
                "sums": In(self.accumulator.sums.shape()),
                "bypass": In(1),
                "continues": In(1),
                "passes": In(self.accumulator.passes.shape()),
                "clear": In(1),
                "signed": In(1),
                "codes": In(self.pool.codes.shape()),
                "inside": In(data.ArrayLayout(1, 1)),
                "o_valid": Out(1),
                "o": Out(self.accumulator.o.shape()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.accumulator, m.submodules.pool = inner, pool = self.accumulator, self.pool
        wiring.connect(m, wiring.flipped(self.step), inner.step)
        m.d.comb += [
            inner.valid.eq(self.valid),
            inner.sums.eq(self.sums),
            inner.bypass.eq(self.bypass),
            inner.continues.eq(self.continues),
            inner.passes.eq(self.passes),
            pool.clear.eq(self.clear),
            pool.valid.eq(self.valid & self.bypass),
            pool.start.eq(inner.first),
            pool.signed.eq(self.signed),
            pool.codes.eq(self.codes),
            pool.inside.eq(self.inside),
            Value.cast(inner.bypassed).eq(Value.cast(pool.largest)),
            self.o_valid.eq(inner.o_valid),
            self.o.eq(inner.o),
        ]
        return m


@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_both_paths_in_turn(gaps):
    """Maxima of windows, sums, maxima: neither path sees what the other had.

    Maxima continue nothing, whatever the setting says.
    """
    dut = Bypassing()
    latency = Accumulator.latency
    rng = np.random.default_rng(4)
    rows, ends, expected = [], [], []

    def begin(**settings):
        # The pipeline is empty between runs.
        rows.extend([IDLE, {}, IDLE | {"clear": 1} | settings, {"clear": 0}])

    def add(settings, sums, codes, inside):
        words, steps, finished = rows_of(settings, sums, gaps, rng)
        ends.extend(len(rows) + end for end in finished)
        fed = iter(range(len(sums)))
        for row in words:
            n = next(fed) if row["valid"] else 0
            rows.append(row | {"codes": [codes[n]], "inside": [inside[n]]})
        return steps

    shifts = [k % 8 for k in range(MAX_PASSES)]
    for window in (1, 4, 9):
        for is_signed in (0, 1):
            begin(bypass=1, signed=is_signed, passes=shifts, continues=is_signed)
            count = 5 * window
            codes = rng.integers(0, 32, (count, LANES))
            inside = rng.random(count) < 0.6
            inside[::window] = True
            # The engine's sums mean nothing to the path.
            add(nest(1, window, 1, 5), random_sums(count), codes, inside)
            values = (codes ^ 16) - 16 if is_signed else codes
            expected += plain(WindowMaximum.model(values, inside[:, None], window))

            begin(bypass=0, continues=0)
            sums = random_sums(24, seed=window)
            idle = np.ones(24, int)
            steps = add(nest(2, 3, 2, 2), sums, rng.integers(0, 32, (24, LANES)), idle)
            expected += plain(Accumulator.model(BITS, shifts, steps, sums))
    shown = Bench(dut).played([*rows, IDLE, {}, {}], ["o_valid", "o"])
    check(shown, ends, expected, latency)


@pytest.mark.parametrize("shift_bits", [0, 3, 4])
def test_conversion(shift_bits):
    for continues in (False, True):
        rtlil.convert(Accumulator(LANES, SUM_BITS, BITS, WORDS, shift_bits, BYPASS_BITS, continues))
    rtlil.convert(Bypassing())
