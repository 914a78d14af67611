import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.post import PostProcess
from rtl.post_lane import PostLane
from sim.bench import Bench, plain

BITS, CODE_BITS, LANES = 20, 5, 3
GROUPS = [1, 2, 4]


def random_run(seed, groups, words, **settings):
    """Settings, parameters, residuals and sums of a run; of each member a row."""
    rng = np.random.default_rng(seed)
    half = 1 << BITS - 1
    defaults = {
        "residual": 0,
        "residual_signed": 0,
        "residual_left": 0,
        "right": 0,
        "logarithmic": 0,
        "low": -16,
        "high": 15,
    }
    shape = (words * groups, LANES)
    shift = rng.integers(0, BITS, shape)
    # Half of the sums are such that the codes differ.
    sums = rng.integers(-half, half, shape) >> rng.integers(0, 2, shape) * (BITS - 6 - shift).clip(
        0
    )
    sums[0], sums[-1] = -half, half - 1
    parameters = {"bias": rng.integers(-half, half, shape) >> rng.integers(0, BITS, shape)}
    parameters["shift"] = shift
    return defaults | settings, parameters, rng.integers(0, 1 << CODE_BITS, shape), sums


def run(groups, settings, parameters, residual, sums, stall=0.0, seed=0):
    """Drive the block, collect the words that come out, and compare with the model.

    Returns the cycles in which each stream's words were taken.
    """
    dut = PostProcess(groups, LANES, BITS, CODE_BITS)
    expected = dut.model(BITS, CODE_BITS, settings, parameters, residual, sums)
    bench = Bench(dut, seed=seed)
    words = sums.reshape(-1, groups, LANES)
    rows = [
        [{"bias": bias, "shift": shift} for bias, shift in zip(*of_member)]
        for of_member in zip(parameters["bias"], parameters["shift"])
    ]
    valid = bench.watch(dut.valid)
    sent, got = {}, []

    async def drive(ctx):
        ctx.set(dut.settings, plain(settings))
        # As in a machine, parameters and residuals are there before the first sums.
        await ctx.tick().repeat(3)
        sent["i"] = await bench.send(ctx, dut.i, words, stall)
        await ctx.tick().repeat(dut.latency)

    async def feed(ctx):
        sent["parameters"] = await bench.send(ctx, dut.parameters, rows)

    async def add(ctx):
        if settings["residual"]:
            sent["residual"] = await bench.send(ctx, dut.residual, residual)
        else:
            # A word that waits there is not of this run.
            ctx.set(dut.residual.payload, [31] * LANES)
            ctx.set(dut.residual.valid, 1)
            while len(got) < len(expected):
                *_, ready = await ctx.tick().sample(dut.residual.ready)
                assert not ready

    async def collect(ctx):
        while len(got) < len(expected):
            *_, now, word = await ctx.tick().sample(dut.valid, dut.o)
            if now:
                got.append(plain(word))

    bench.run(drive, feed, add, collect)
    assert got == expected.tolist()
    # Each member takes its parameters and its residual in its turn, the last one the word.
    assert valid == [cycle + dut.latency for cycle in sent["parameters"]]
    assert sent["i"] == sent["parameters"][groups - 1 :: groups]
    if settings["residual"]:
        assert sent["residual"] == sent["parameters"]
    if stall == 0:
        first = sent["parameters"][0]
        assert sent["parameters"] == list(range(first, first + len(rows)))
    return sent


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("groups", [*GROUPS, 3])
@pytest.mark.parametrize("span", [(-16, 15), (0, 20)])
def test_members_in_turn(groups, span, stall):
    low, high = span
    run(groups, *random_run(groups, groups, 24 // groups, low=low, high=high), stall=stall)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("residual_signed", [0, 1])
@pytest.mark.parametrize("moved", [{}, {"residual_left": 2}, {"right": 3}])
def test_residuals(groups, residual_signed, moved, stall):
    settings = {"residual": 1, "residual_signed": residual_signed, **moved}
    if not residual_signed:
        settings |= {"low": 0, "high": 31}
    run(groups, *random_run(7, groups, 24 // groups, **settings), stall=stall, seed=groups)


def test_latency_is_that_of_the_lanes():
    assert PostProcess.latency == PostLane.latency


@pytest.mark.parametrize("groups", GROUPS)
def test_conversion(groups):
    rtlil.convert(PostProcess(groups, LANES, BITS, CODE_BITS))
