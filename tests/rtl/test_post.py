import itertools

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.post import PostLane, PostProcess
from sim.bench import Bench, plain

BITS, CODE_BITS, LANES = 20, 5, 3


def lane_vectors(bits, code_bits):
    """Sums around every tie and every border, for all shifts."""
    half = 1 << bits - 1
    rng = np.random.default_rng(bits)
    vectors = []
    for shift in range(32):
        # Ties, and their neighbours, of the shift, on both sides of zero.
        scale = 1 << min(shift, bits - 1)
        near = {k * scale + scale // 2 + d for k in (-3, -2, -1, 0, 1, 2) for d in (-1, 0, 1)}
        sums = [s for s in near if -half <= s < half]
        sums += [-half, -half + 1, -1, 0, 1, half - 1, *rng.integers(-half, half, 4)]
        vectors += [(s, 0, 0, shift, 0) for s in sums]
    residual_half = 1 << code_bits
    corners = itertools.product(
        (-half, half - 1, 0), (-residual_half, residual_half - 1), (-half, half - 1, 1)
    )
    for n, (total, residual, bias) in enumerate(corners):
        vectors.append((total, residual, bias, n % 9, 31 - n % 32))
    for _ in range(300):
        vectors.append(
            (
                rng.integers(-half, half),
                rng.integers(-residual_half, residual_half),
                rng.integers(-half, half),
                rng.integers(0, 32),
                rng.integers(0, 32),
            )
        )
    return np.array(vectors, np.int64)


@pytest.mark.parametrize("bits, code_bits", [(16, 2), (20, 5), (32, 8), (32, 16)])
@pytest.mark.parametrize("signed_output", [True, False])
def test_lane_equals_its_model(bits, code_bits, signed_output):
    dut = PostLane(bits, code_bits)
    low = -(1 << code_bits - 1) if signed_output else 0
    high = (1 << code_bits - 1) - 1 if signed_output else (1 << code_bits) - 1
    vectors = lane_vectors(bits, code_bits)
    total, residual, bias, shift, residual_shift = vectors.T
    expected = dut.model(bits, code_bits, total, residual, bias, shift, residual_shift, low, high)
    got = []

    async def testbench(ctx):
        ctx.set(dut.low, low)
        ctx.set(dut.high, high)
        for row in vectors.tolist():
            names = ("bias", "shift", "residual_shift")
            ctx.set(dut.sum, row[0])
            ctx.set(dut.residual, row[1])
            ctx.set(dut.parameters, dict(zip(names, row[2:])))
            *_, code = await ctx.tick().sample(dut.code)
            got.append(code)
        for _ in range(dut.latency):
            *_, code = await ctx.tick().sample(dut.code)
            got.append(code)

    Bench(dut).run(testbench)
    # Fixed rate: the code of a vector stands at the output `latency` cycles after it.
    assert got[dut.latency :] == expected.tolist()


def test_lane_model_rounds_half_to_even():
    codes = PostLane.model(16, 8, np.array([1, 3, 5, -1, -3, -5]), 0, 0, 1, 0, -128, 127)
    assert codes.tolist() == [0, 2, 2, 0, 254, 254]
    # The total wraps where it does not fit.
    assert PostLane.model(16, 8, np.array([32767]), 1, 0, 8, 0, -128, 127).tolist() == [128]


def random_run(seed, groups, positions, **settings):
    """Settings, parameters, sums and residuals of a run of ``groups`` groups of outputs."""
    rng = np.random.default_rng(seed)
    half = 1 << BITS - 1
    words = groups * positions
    defaults = {
        "uniform": 0,
        "shift": 3,
        "residual": 0,
        "residual_shift": 2,
        "residual_signed": 0,
        "low": -16,
        "high": 15,
    }
    parameters = {
        "bias": rng.integers(-half, half, groups * LANES),
        "shift": rng.integers(0, BITS, groups * LANES),
        "residual_shift": rng.integers(0, 32, groups * LANES),
    }
    sums = rng.integers(-half, half, (words, LANES))
    sums[0], sums[-1] = -half, half - 1
    residual = rng.integers(0, 1 << CODE_BITS, (words, LANES))
    group_first = np.arange(words) % positions == 0
    return defaults | settings, parameters, sums, residual, group_first


def run(settings, parameters, sums, residual, group_first, stall=0.0, seed=0):
    """Drive the block, collect the words that come out, and compare with the model."""
    dut = PostProcess(LANES, BITS, CODE_BITS)
    expected = dut.model(BITS, CODE_BITS, settings, parameters, residual, sums, group_first)
    bench = Bench(dut, seed=seed)
    words = [{"sums": s, "group_first": f} for s, f in zip(sums, group_first)]
    columns = zip(*parameters.values())
    rows = [dict(zip(parameters, column)) for column in columns]
    valid = bench.watch(dut.valid)
    sent, got = {}, []

    async def drive(ctx):
        ctx.set(dut.settings, plain(settings))
        sent["i"] = await bench.send(ctx, dut.i, words, stall)
        await ctx.tick().repeat(dut.latency)

    async def feed(ctx):
        if not settings["uniform"]:
            sent["parameters"] = await bench.send(ctx, dut.parameters, rows, stall)

    async def add(ctx):
        if settings["residual"]:
            sent["residual"] = await bench.send(ctx, dut.residual, residual, stall)

    async def collect(ctx):
        while len(got) < len(words):
            *_, now, word = await ctx.tick().sample(dut.valid, dut.o)
            if now:
                got.append(plain(word))

    bench.run(drive, feed, add, collect)
    assert got == expected.tolist()
    assert valid == [cycle + dut.latency for cycle in sent["i"]]
    return sent


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("groups, positions", [(1, 1), (4, 9), (5, 2), (6, 1)])
def test_parameters_of_groups(groups, positions, stall):
    sent = run(*random_run(groups, groups, positions), stall=stall)
    if stall == 0:
        # Groups follow each other every max(positions, lanes + 1) cycles: the next parameters
        # are loaded meanwhile.
        begins = sent["i"][::positions]
        assert np.diff(begins).tolist() == [max(positions, LANES + 1)] * (groups - 1)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("uniform", [0, 1])
@pytest.mark.parametrize("residual_signed", [0, 1])
def test_residuals(uniform, residual_signed, stall):
    sent = run(
        *random_run(
            7,
            3,
            8,
            uniform=uniform,
            residual=1,
            residual_signed=residual_signed,
            low=0 if uniform else -16,
            high=31 if uniform else 15,
        ),
        stall=stall,
    )
    # One residual for each word.
    assert sent["residual"] == sent["i"]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("shift", [0, 1, 19, 31])
def test_uniform(shift, stall):
    sent = run(*random_run(shift, 4, 5, uniform=1, shift=shift), stall=stall)
    if stall == 0:
        assert sent["i"] == list(range(20))


def test_start_forgets_parameters():
    settings, parameters, sums, residual, group_first = random_run(1, 1, 4)
    dut = PostProcess(LANES, BITS, CODE_BITS)
    expected = dut.model(BITS, CODE_BITS, settings, parameters, residual, sums, group_first)
    rows = [dict(zip(parameters, column)) for column in zip(*parameters.values())]
    bench = Bench(dut)
    got = []

    async def drive(ctx):
        ctx.set(dut.settings, plain(settings))
        # Parameters of a run that another one replaced.
        await bench.send(ctx, dut.parameters, rows[::-1][:2])
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await bench.send(ctx, dut.parameters, rows)
        words = [{"sums": s, "group_first": f} for s, f in zip(sums, group_first)]
        await bench.send(ctx, dut.i, words)

    async def collect(ctx):
        while len(got) < len(sums):
            *_, now, word = await ctx.tick().sample(dut.valid, dut.o)
            if now:
                got.append(plain(word))

    bench.run(drive, collect)
    assert got == expected.tolist()


def test_a_uniform_run_behind_one_with_parameters():
    first = random_run(2, 2, 3)
    second = random_run(3, 1, 6, uniform=1, shift=2)
    dut = PostProcess(LANES, BITS, CODE_BITS)
    expected = []
    for settings, parameters, sums, residual, group_first in (first, second):
        model = dut.model(BITS, CODE_BITS, settings, parameters, residual, sums, group_first)
        expected += model.tolist()
    bench = Bench(dut)
    got = []

    async def drive(ctx):
        for settings, _, sums, _, group_first in (first, second):
            ctx.set(dut.settings, plain(settings))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            words = [{"sums": s, "group_first": f} for s, f in zip(sums, group_first)]
            await bench.send(ctx, dut.i, words)
            # As in a machine, the next run starts when this one has left.
            await ctx.tick().repeat(dut.latency)

    async def feed(ctx):
        await ctx.tick()
        parameters = first[1]
        columns = zip(*parameters.values())
        await bench.send(ctx, dut.parameters, [dict(zip(parameters, c)) for c in columns])

    async def collect(ctx):
        while len(got) < len(expected):
            *_, now, word = await ctx.tick().sample(dut.valid, dut.o)
            if now:
                got.append(plain(word))

    bench.run(drive, feed, collect)
    assert got == expected


def test_conversion():
    rtlil.convert(PostLane(32, 8))
    rtlil.convert(PostProcess(LANES, BITS, CODE_BITS))
