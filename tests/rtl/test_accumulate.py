import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.accumulate import Accumulator
from rtl.isa import Accumulate
from rtl.nest import LoopNest
from sim.bench import Bench, plain

LANES, SUM_BITS, BITS, WORDS, SHIFT_BITS, MAX_BITS = 3, 9, 16, 32, 3, 9
NO_PASSES = [{"shift": 0, "negate": 0}] * 16


def accumulator():
    return Accumulator(LANES, SUM_BITS, BITS, WORDS, SHIFT_BITS, MAX_BITS)


def nest(positions, steps, passes, groups):
    """Settings of SUM as the compiler makes them: ``positions`` accumulators, reused by groups."""
    counts = (positions, steps, passes, groups)
    back = (1 - positions) % WORDS
    return {
        "address": 5,
        "levels": [{"last": k - 1, "step": back if i else 1} for i, k in enumerate(counts)],
    }


def run(settings, sums, operation=Accumulate.ADD, passes=NO_PASSES, stall=0.0, seed=0):
    """Drive the block with a walk of steps and sums; check it against the model."""
    dut = accumulator()
    steps = LoopNest.model(settings, dut.address_bits)
    words = [{name: values[n] for name, values in steps.items()} for n in range(len(sums))]
    assert len(steps["address"]) == len(sums)
    expected, group_first = dut.model(BITS, operation, passes, steps, sums)
    sent, received = Bench(dut, seed=seed).transfer(
        {"step": words, "i": sums},
        {"o": len(expected)},
        stall=stall,
        settings={"operation": operation, "passes": passes},
    )
    values = received["o"].values
    assert [word["sums"] for word in values] == plain(expected)
    assert [word["group_first"] for word in values] == plain(group_first)
    return sent["i"], received["o"]


def random_sums(count, seed=0):
    """Full range, and the extremes."""
    half = 1 << SUM_BITS - 1
    sums = np.random.default_rng(seed).integers(-half, half, (count, LANES))
    sums[0], sums[-1] = -half, half - 1
    return sums


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(1, 1, 1, 6), (4, 5, 1, 3), (32, 2, 2, 1), (2, 3, 4, 2)])
def test_sums_and_groups(shape, stall):
    for seed in range(2):
        run(nest(*shape), random_sums(np.prod(shape), seed), stall=stall, seed=seed)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_passes_shift_and_negate(stall):
    passes = [{"shift": k % 8, "negate": k % 3 == 1} for k in range(16)]
    run(nest(4, 2, 16, 2), random_sums(256), passes=passes, stall=stall)


def test_extremes_wrap():
    # The most negative sum, negated and shifted the furthest, over and over.
    passes = [{"shift": 7, "negate": k % 2} for k in range(16)]
    for value in (-256, 255):
        run(nest(3, 9, 2, 1), np.full((54, LANES), value), passes=passes)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_maxima(stall):
    # Passes mean nothing to a maximum.
    passes = [{"shift": 3, "negate": 1}] * 16
    for shape in ((4, 9, 1, 3), (1, 4, 1, 5), (3, 2, 3, 1)):
        sums = random_sums(np.prod(shape))
        _, received = run(nest(*shape), sums, Accumulate.MAX, passes, stall)
        positions, steps, rounds, groups = shape
        largest = sums.reshape(groups, steps * rounds, positions, LANES).max(axis=1)
        assert [w["sums"] for w in received.values] == largest.reshape(-1, LANES).tolist()


@pytest.mark.parametrize("positions", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("rounds", [(1, 1), (5, 1), (2, 3)])
def test_timing(positions, rounds):
    """An accumulator is read three cycles after the word before it was taken, and not earlier."""
    groups = 3
    shape = (positions, *rounds, groups)
    taken, received = run(nest(*shape), random_sums(np.prod(shape)))
    steps = np.prod(rounds)
    period = max(positions, Accumulator.turnaround)
    group = (steps - 1) * period + positions
    expected = [
        taken[0] + g * group + r * period + p
        for g in range(groups)
        for r in range(steps)
        for p in range(positions)
    ]
    assert taken == expected
    finished = [
        taken[0] + g * group + (steps - 1) * period + p
        for g in range(groups)
        for p in range(positions)
    ]
    assert received.cycles == [cycle + Accumulator.latency for cycle in finished]


def test_addresses_in_any_order():
    """Steps that come back to an address after one and two others, in every mixture."""
    rng = np.random.default_rng(3)
    for seed in range(4):
        counts = rng.integers(1, 4, 4)
        settings = {
            "address": int(rng.integers(WORDS)),
            "levels": [{"last": k - 1, "step": int(rng.integers(WORDS))} for k in counts],
        }
        # Every accumulation is started first: what the memory held before does not matter.
        settings["levels"][1]["step"] = settings["levels"][2]["step"] = (
            -(counts[0] - 1) * settings["levels"][0]["step"]
        ) % WORDS
        for stall in (0.0, 0.5):
            run(settings, random_sums(np.prod(counts), seed), stall=stall, seed=seed)


def test_nothing_leaves_while_the_output_waits():
    dut = accumulator()
    settings = nest(1, 1, 1, 4)
    steps = LoopNest.model(settings, dut.address_bits)
    bench = Bench(dut)
    sums = random_sums(4)

    async def drive(ctx):
        await bench.send(ctx, dut.i, sums)

    async def lead(ctx):
        await bench.send(ctx, dut.step, [{k: v[n] for k, v in steps.items()} for n in range(4)])

    async def look(ctx):
        await ctx.tick().until(dut.o.valid)
        held = plain(ctx.get(dut.o.payload))
        for _ in range(5):
            assert ctx.get(dut.i.ready) == ctx.get(dut.step.ready) == 0
            assert plain(ctx.get(dut.o.payload)) == held
            await ctx.tick()
        words = (await bench.receive(ctx, dut.o, 4)).values
        assert [word["sums"] for word in words] == sums.tolist()

    bench.run(drive, lead, look)


@pytest.mark.parametrize("shift_bits", [0, 3, 4])
def test_conversion(shift_bits):
    rtlil.convert(Accumulator(LANES, SUM_BITS, BITS, WORDS, shift_bits, MAX_BITS))
