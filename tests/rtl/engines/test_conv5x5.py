import dataclasses

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.codebook.multiples import CODE_BITS, ENTRIES, VALUE_BITS, VALUES
from rtl.engines.conv5x5 import Conv5x5, Conv5x5Config
from rtl.packing import pack
from sim.bench import Bench, plain
from tests.engine_runs import sums_after_an_abandoned_run

SIZES = [
    Conv5x5Config(5, 1, 4, 4),
    Conv5x5Config(5, 3, 2, 8),
    Conv5x5Config(10, 1, 1, 8),
    Conv5x5Config(5, 1, 1, 16),
]
HALF = 1 << VALUE_BITS - 1


def name_of(value):
    return "-".join(map(str, value.to_dict().values())) if dataclasses.is_dataclass(value) else None


def settings_of(values, vectors, signed=0, split=0):
    book = {f"value_{v}": int(value) % (2 * HALF) for v, value in enumerate(values)}
    return {"last_vector": vectors - 1, "signed": signed, "split": split, **book}


def random_run(config, tiles, vectors, signed=0, split=0, seed=0):
    """Settings, indices ``[words, elements of an output]`` and activations of a run."""
    rng = np.random.default_rng(seed)
    settings = settings_of(rng.integers(-HALF, HALF, VALUES), vectors, signed, split)
    words = tiles * config.lanes << split
    codes = rng.integers(0, VALUES + 1, (words, config.column_lanes))
    shape = (tiles * vectors, config.groups, config.vector_words, config.lanes)
    return settings, codes, rng.integers(0, 1 << config.activation_bits, shape)


def expected_sums(config, settings, codes, activations):
    return Conv5x5.model(config, settings, pack(codes, CODE_BITS), activations)


def run(config, *runs, stall=0.0, seed=0):
    """Drive the engine through runs, compare with the model; cycles of weights, activations and
    sums of the last."""
    dut = Conv5x5(config)
    bench = Bench(dut, seed=seed)
    expected = [expected_sums(config, *each).tolist() for each in runs]
    found, cycles, sent = [], {}, {}

    async def main(ctx):
        for number, (settings, codes, _) in enumerate(runs):
            ctx.set(dut.settings, settings)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            started[0] = number
            sent["weights"] = await bench.send(ctx, dut.weights, codes, stall)
            while len(found) <= number:
                await ctx.tick()

    async def activate(ctx):
        for number, (_, _, activations) in enumerate(runs):
            while started[0] < number:
                await ctx.tick()
            sent["activations"] = await bench.send(ctx, dut.activations, activations, stall)

    async def receiver(ctx):
        for each in expected:
            sums, cycles["sums"] = [], []
            while len(sums) < len(each):
                *_, cycle, valid, word = await ctx.tick().sample(bench.cycle, dut.valid, dut.sums)
                if valid:
                    sums.append(plain(word))
                    cycles["sums"].append(cycle)
            found.append(sums)

    started = [-1]
    bench.run(main, activate, receiver)
    assert found == expected
    return sent["weights"], sent["activations"], cycles["sums"]


@pytest.mark.parametrize("config", SIZES, ids=name_of)
def test_sums(config):
    """Tiles of all splits, signed or not, with and without stalls; and runs with other values."""
    for split in range(config.groups.bit_length()):
        first = random_run(config, 3, 4, split % 2, split, seed=split)
        second = random_run(config, 2, 9, 1 - split % 2, split, seed=split + 7)
        run(config, first, second)
        run(config, first, stall=0.4, seed=split)


def test_start_forgets_half_a_tile():
    """A run begins with its own weights and tables whatever the run before left."""
    config = SIZES[0]
    settings, codes, activations = random_run(config, 2, 3)
    expected = expected_sums(config, settings, codes, activations)
    # A tile, two of its three words, and half of the next tile.
    left = codes[::-1][: config.lanes], activations[::-1][:2], codes[::-1][: config.lanes // 2]
    got = sums_after_an_abandoned_run(
        Conv5x5(config), settings, left, codes, activations, len(expected)
    )
    assert got == expected.tolist()


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("config", SIZES, ids=name_of)
def test_model_is_the_convolution(config, signed):
    settings, codes, activations = random_run(config, 2, 3, signed)
    half = signed << config.activation_bits - 1
    weights = np.concatenate([[0], Conv5x5.values(settings)])[codes]
    weights = weights.reshape(2, config.lanes, config.column_lanes)
    exact = (activations ^ half) - half
    exact = exact.reshape(2, 3, config.groups, config.column_lanes)
    exact = np.einsum("tvpl,tcl->tvpc", exact, weights)
    sums = expected_sums(config, settings, codes, activations).reshape(exact.shape)
    correction = Conv5x5.excess(config, weights) + (weights * half)
    assert np.array_equal(sums - correction.sum(axis=2)[:, None, None], exact)


@pytest.mark.parametrize("config, split", [(SIZES[0], 0), (SIZES[1], 1), (SIZES[0], 2)])
@pytest.mark.parametrize("vectors", [3, 40])
def test_timing(config, split, vectors):
    """Tables first; then a vector a cycle, or a tile every ``words + 1`` cycles."""
    tiles, words = 3, config.lanes << split
    weights, taken, sums = run(config, random_run(config, tiles, vectors, split=split))
    assert weights[:words] == list(range(weights[0], weights[0] + words))
    # The first tile's successor is loaded only once the tables are full.
    first = weights[0] + max(words, ENTRIES)
    assert config.ready == ENTRIES
    period = max(vectors, words + 1)
    assert taken == [first + t * period + v for t in range(tiles) for v in range(vectors)]
    assert sums == [cycle + config.latency for cycle in taken]


def test_arrays():
    """4 x 4 arrays of 25 elements, as published."""
    config = Conv5x5Config(20, 1, 1, 8)
    assert (config.input_arrays, config.output_arrays, config.macs_per_cycle) == (4, 4, 400)
    wide = Conv5x5Config(20, 2, 2, 8)
    assert (wide.input_arrays, wide.output_arrays, wide.macs_per_cycle) == (8, 8, 1600)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lanes": 8}, "lanes = 8: allowed are 5, 10, 15"),
        ({"vector_words": 5}, "vector_words = 5: allowed are 1, 2, 3, 4"),
        ({"groups": True}, "groups = True: allowed are 1, 2, 4"),
        ({"activation_bits": 17}, "activation_bits = 17: allowed is 2 to 16"),
    ],
)
def test_impossible_configs(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SIZES[0], **change)


def test_impossible_split():
    with pytest.raises(ValueError, match="split = 2: the machine has 2 groups"):
        Conv5x5.share(SIZES[1], settings_of([1, 2, 3], 4, split=2))


@pytest.mark.parametrize("family", [None, "xc7"])
def test_conversion(family):
    rtlil.convert(Conv5x5(SIZES[1], family))
