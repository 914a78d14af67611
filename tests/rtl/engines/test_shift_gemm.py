import numpy as np
import pytest
from amaranth.back import rtlil

from quant.numbers import decode_terms, encode_terms
from rtl.arithmetic import tree_levels
from rtl.engines.shift_gemm import Column, ShiftGemm, ShiftGemmConfig
from rtl.packing import pack
from sim.bench import Bench

SIZES = [(4, 2, 4), (4, 5, 8), (8, 4, 8), (8, 3, 4), (16, 4, 8)]


def random_run(config, tiles, vectors, signed, seed=0, extreme=False):
    """Settings, weight codes ``[tiles * columns, lanes]`` and activations of a run."""
    rng = np.random.default_rng(seed)
    lanes, top = config.lanes, (1 << config.activation_bits) - 1
    if extreme:
        # The largest terms of both signs, and zeros of both, on the largest and smallest codes.
        largest = config.exponents
        sign = 1 << config.term_bits - 1
        choices = np.array([largest, largest | sign, 0, sign])
        codes = choices[rng.integers(0, 4, (tiles * lanes, lanes))]
        codes[:lanes] = choices[np.arange(lanes) % 4][:, None]
        activations = rng.choice([0, top], (tiles * vectors, lanes))
        activations[0] = top
    else:
        codes = rng.integers(0, 1 << config.term_bits, (tiles * lanes, lanes))
        activations = rng.integers(0, top, (tiles * vectors, lanes), endpoint=True)
    return {"last_vector": vectors - 1, "signed": signed}, codes, activations


def run(config, settings, codes, activations, stall=0.0, seed=0):
    """Drive the engine, compare with the model; cycles of weights, activations and sums."""
    dut = ShiftGemm(config)
    words = pack(codes, config.term_bits)
    expected = ShiftGemm.model(config, settings, words, activations)
    sent, received = Bench(dut, seed=seed).transfer(
        {"weights": codes, "activations": activations},
        {"sums": len(expected)},
        stall=stall,
        settings={"settings": settings},
        start="start",
    )
    assert received["sums"].values == expected.tolist()
    return sent["weights"], sent["activations"], received["sums"].cycles


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("extreme", [False, True])
def test_sums(size, signed, extreme):
    config = ShiftGemmConfig(*size)
    run(config, *random_run(config, 3, 5, signed, extreme=extreme))


@pytest.mark.parametrize("size", SIZES[:4], ids=str)
@pytest.mark.parametrize("vectors", [1, 6])
def test_stalls(size, vectors):
    config = ShiftGemmConfig(*size)
    for seed in range(2):
        run(config, *random_run(config, 4, vectors, 1, seed), stall=0.4, seed=seed)


@pytest.mark.parametrize("size", [(4, 3, 4), (8, 4, 8)], ids=str)
@pytest.mark.parametrize("vectors", [1, 2, 4, 5, 9, 12])
def test_timing(size, vectors):
    """Latency of a word, and one tile every ``max(vectors, lanes + 1)`` cycles."""
    config = ShiftGemmConfig(*size)
    lanes, tiles = config.lanes, 4
    weights, taken, sums = run(config, *random_run(config, tiles, vectors, 0))
    assert config.latency == 2 + tree_levels(lanes)
    assert sums == [cycle + config.latency for cycle in taken]
    # The first words wait for the first tile, of which a word comes each cycle.
    assert weights[:lanes] == list(range(weights[0], weights[0] + lanes))
    period = max(vectors, lanes + 1)
    first = weights[0] + lanes
    assert taken == [first + t * period + v for t in range(tiles) for v in range(vectors)]


def test_model_is_the_dot_product():
    """Sums less the correction of the class's docstring are the exact products."""
    for size in SIZES:
        config = ShiftGemmConfig(*size)
        bits, lanes = config.activation_bits, config.lanes
        for signed in (0, 1):
            settings, codes, activations = random_run(config, 3, 4, signed, extreme=signed == 1)
            sums = ShiftGemm.model(config, settings, pack(codes, config.term_bits), activations)
            terms = decode_terms(codes, config.term_bits).reshape(3, lanes, lanes)
            half = 1 << bits - 1
            value = (activations ^ half) - half if signed else activations
            exact = np.einsum("tvl,tcl->tvc", value.reshape(3, 4, lanes), terms)
            correction = np.where(terms < 0, -terms, 0).sum(axis=2) * ((1 << bits) - 1)
            correction += signed * half * terms.sum(axis=2)
            assert np.array_equal(sums.reshape(3, 4, lanes) - correction[:, None], exact)


def test_widths_are_reached_and_suffice():
    """The largest sum needs all but the sign bit of ``sum_bits``."""
    for size in SIZES:
        config = ShiftGemmConfig(*size)
        largest = encode_terms(np.array([1 << config.exponents - 1]), config.term_bits)[0]
        codes = np.full((config.lanes, config.lanes), largest)
        top = np.full((1, config.lanes), (1 << config.activation_bits) - 1)
        words = pack(codes, config.term_bits)
        sums = ShiftGemm.model(config, {"last_vector": 0, "signed": 0}, words, top)
        assert int(sums.max()).bit_length() == config.sum_bits - 1


def test_start_forgets_half_a_tile():
    """A run begins with its own weights whatever the run before left."""
    config = ShiftGemmConfig(4, 3, 4)
    settings, codes, activations = random_run(config, 2, 3, 0)
    dut = ShiftGemm(config)
    expected = ShiftGemm.model(config, settings, pack(codes, config.term_bits), activations)
    bench = Bench(dut)

    async def testbench(ctx):
        ctx.set(dut.settings, settings)
        ctx.set(dut.sums.ready, 1)
        # A tile, two of its three words, and half of the next tile.
        await bench.send(ctx, dut.weights, codes[::-1][:4])
        await bench.send(ctx, dut.activations, activations[::-1][:2])
        await bench.send(ctx, dut.weights, codes[::-1][:2])
        await ctx.tick().repeat(config.latency)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await bench.send(ctx, dut.weights, codes)

    async def activate(ctx):
        # Behind the words of the run that was given up.
        await ctx.tick().until(dut.start)
        await bench.send(ctx, dut.activations, activations)

    got = []

    async def collect(ctx):
        await ctx.tick().until(dut.start)
        got.extend((await bench.receive(ctx, dut.sums, len(expected))).values)

    bench.run(testbench, activate, collect)
    assert got == expected.tolist()


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_column(size):
    """One column: latency, and registers that hold while ``enable`` is low."""
    config = ShiftGemmConfig(*size)
    dut = Column(config)
    _, codes, vectors = random_run(config, 4, 10, 0, seed=5)
    rng = np.random.default_rng(1)
    enable = rng.random(100) < 0.7
    rtlil.convert(Column(config))

    async def testbench(ctx):
        sums = []
        for n, on in enumerate(enable):
            if len(sums) == len(vectors):
                break
            k = len(sums)
            column = codes[k % len(codes)]
            ctx.set(dut.vector, vectors[k].tolist())
            ctx.set(dut.weights, column.tolist())
            ctx.set(dut.enable, bool(on))
            *_, total = await ctx.tick().sample(dut.sum)
            if k >= dut.latency:
                assert total == sums[k - dut.latency], n
            if on:
                sums.append(int(Column.model(config, column[None], vectors[k : k + 1])[0, 0]))
        assert len(sums) > 30

    Bench(dut).run(testbench)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((3, 4, 8), "lanes = 3: allowed are 4, 8, 16, 32, 64"),
        ((8, 6, 8), "term_bits = 6: allowed is 2 to 5"),
        ((8, 4, 17), "activation_bits = 17: allowed is 2 to 16"),
    ],
)
def test_impossible_configs(sizes, message):
    with pytest.raises(ValueError, match=message):
        ShiftGemmConfig(*sizes)


def test_conversion():
    for size in SIZES[:2]:
        rtlil.convert(ShiftGemm(ShiftGemmConfig(*size)))
