"""The engines `svpe` and `vpe`, which differ in their processing elements only."""

import dataclasses

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.engines.svpe import Svpe, SvpeConfig
from rtl.engines.vpe import Vpe, VpeConfig
from rtl.packing import pack
from sim.bench import Bench, plain
from tests.engine_runs import sums_after_an_abandoned_run

SVPE = SvpeConfig(4, 2, 2, 3, 16, "n3", 8)
VPE = VpeConfig(4, 2, 2, 3, 16, "s4", 8)
SIZES = [
    SVPE,
    VPE,
    SvpeConfig(4, 1, 1, 3, 16, "n2", 16),
    SvpeConfig(4, 3, 1, 3, 16, "n4", 8),
    VpeConfig(4, 1, 1, 5, 16, "s3", 4),
    VpeConfig(4, 3, 4, 3, 16, "s8", 4),
]
ENGINES = {SvpeConfig: Svpe, VpeConfig: Vpe}


def name_of(value):
    return "-".join(map(str, value.to_dict().values())) if dataclasses.is_dataclass(value) else None


def line_settings(config, rows, columns, skip_rows=None, skip_columns=None, signed=0):
    before = config.kernel - 1
    return {
        "last_vector": rows * columns - 1,
        "signed": signed,
        "lines": 1,
        "last_column": columns - 1,
        "skip_rows": before if skip_rows is None else skip_rows,
        "skip_columns": before if skip_columns is None else skip_columns,
    }


def direct_settings(vectors, signed=0):
    return {
        "last_vector": vectors - 1,
        "signed": signed,
        "lines": 0,
        "last_column": 0,
        "skip_rows": 0,
        "skip_columns": 0,
    }


def values(config):
    """All weights of a format."""
    if isinstance(config, VpeConfig):
        half = 1 << config.code_bits - 1
        return np.arange(-half, half)
    levels = config.plan.format.levels
    return np.concatenate([-levels[1:], levels])


def seen(config, settings):
    """Taps that see rows and columns of their own tile: bool [taps]."""
    row, column = np.divmod(np.arange(config.taps), config.kernel)
    if not settings["lines"]:
        return row * config.kernel + column < config.words
    first = config.kernel - 1
    return (row >= first - settings["skip_rows"]) & (column >= first - settings["skip_columns"])


def random_run(config, settings, tiles, seed=0):
    """Weights ``[tiles, outputs, channels, taps]`` and activations."""
    rng = np.random.default_rng(seed)
    shape = (tiles, config.outputs, config.lanes, config.taps)
    weights = rng.choice(values(config), shape) * seen(config, settings)
    vectors = tiles * (settings["last_vector"] + 1)
    shape = (vectors, config.groups, config.vector_words, config.lanes)
    return weights, rng.integers(0, 1 << config.activation_bits, shape)


def codes_of(config, weights):
    return config.encode(weights.reshape(-1, config.operands))


def run(config, settings, weights, activations, stall=0.0, seed=0):
    """Drive the engine, compare with the model; cycles of weights, activations and sums."""
    engine = ENGINES[type(config)]
    dut, codes = engine(config), codes_of(config, weights)
    expected = engine.model(config, settings, pack(codes, config.code_bits), activations).tolist()
    bench = Bench(dut, seed=seed)
    sums, received, sent = [], [], {}

    async def receiver(ctx):
        while len(sums) < len(expected):
            *_, cycle, valid, word = await ctx.tick().sample(bench.cycle, dut.valid, dut.sums)
            if valid:
                sums.append(plain(word))
                received.append(cycle)

    def sender(name, words):
        async def testbench(ctx):
            await ctx.tick()
            ctx.set(dut.start, 0)
            sent[name] = await bench.send(ctx, getattr(dut, name), words, stall)

        return testbench

    async def starter(ctx):
        ctx.set(dut.settings, settings)
        ctx.set(dut.start, 1)

    bench.run(starter, sender("weights", codes), sender("activations", activations), receiver)
    assert sums == expected
    return sent["weights"], sent["activations"], received


def exact(config, settings, weights, activations):
    """The convolution itself: sums without what folding adds."""
    half = settings["signed"] << config.activation_bits - 1
    x = (activations ^ half) - half
    tiles, outputs = weights.shape[:2]
    x = x.reshape(tiles, settings["last_vector"] + 1, -1, config.lanes)
    if not settings["lines"]:
        used = x[:, :, : config.words]
        return np.einsum("tvuc,tocu->tvo", used, weights[..., : config.words])
    columns = settings["last_column"] + 1
    x = x[:, :, 0].reshape(tiles, -1, columns, config.lanes)
    skip_rows, skip_columns = settings["skip_rows"], settings["skip_columns"]
    rows = x.shape[1]
    kernel = weights.reshape(tiles, outputs, config.lanes, config.kernel, config.kernel)
    kernel = kernel[..., config.kernel - 1 - skip_rows :, config.kernel - 1 - skip_columns :]
    found = np.zeros((tiles, rows - skip_rows, columns - skip_columns, outputs), np.int64)
    for i, j in np.ndindex(skip_rows + 1, skip_columns + 1):
        part = x[:, i : rows - skip_rows + i, j : columns - skip_columns + j]
        found += np.einsum("tyxc,toc->tyxo", part, kernel[..., i, j])
    return found.reshape(tiles, -1, outputs)


@pytest.mark.parametrize("config", SIZES, ids=name_of)
@pytest.mark.parametrize("signed", [0, 1])
def test_model_is_the_convolution(config, signed):
    """Sums less the excess of each weight are the exact ones."""
    engine, before = ENGINES[type(config)], config.kernel - 1
    cases = [line_settings(config, 6, 7, signed=signed), direct_settings(5, signed)]
    cases.append(line_settings(config, 5, 4, before - 1, 0, signed))
    for settings in cases:
        weights, activations = random_run(config, settings, 3)
        codes = pack(codes_of(config, weights), config.code_bits)
        sums = engine.model(config, settings, codes, activations).reshape(3, -1, config.outputs)
        correction = engine.excess(config, weights) + signed * (
            weights << config.activation_bits - 1
        )
        found = sums - correction.sum(axis=(2, 3))[:, None]
        assert np.array_equal(found, exact(config, settings, weights, activations))
        assert engine.share(config, settings) == (
            config.outputs,
            len(activations) // 3,
            found.shape[1],
        )


@pytest.mark.parametrize("config", SIZES, ids=name_of)
def test_sums(config):
    """Tiles from line buffers, with smaller kernels, and without; with and without stalls."""
    before = config.kernel - 1
    for seed, (stall, settings) in enumerate(
        [
            (0.0, line_settings(config, before + 2, before + 3, signed=1)),
            (0.4, line_settings(config, before + 3, before + 2)),
            (0.4, line_settings(config, 4, 5, 1, before - 1)),
            (0.0, line_settings(config, 3, 2, 0, 1)),
            (0.4, direct_settings(4, 1)),
        ]
    ):
        run(config, settings, *random_run(config, settings, 2, seed), stall, seed)


@pytest.mark.parametrize("config", [SVPE, VPE], ids=name_of)
@pytest.mark.parametrize("rows, columns", [(3, 4), (5, 3)])
def test_timing(config, rows, columns):
    """Latency of a word, and one tile every ``max(vectors, outputs + 1)`` cycles."""
    settings, tiles = line_settings(config, rows, columns), 3
    weights, taken, sums = run(config, settings, *random_run(config, settings, tiles))
    ends = [y >= 2 and x >= 2 for y in range(rows) for x in range(columns)] * tiles
    assert sums == [cycle + config.latency for cycle, end in zip(taken, ends) if end]
    vectors, words = rows * columns, config.outputs
    assert weights[:words] == list(range(weights[0], weights[0] + words))
    period = max(vectors, words + 1)
    assert taken == [
        weights[0] + words + t * period + v for t in range(tiles) for v in range(vectors)
    ]


@pytest.mark.parametrize(
    "config, latency",
    [(SVPE, 2 + 0 + 1 + 1 + 2), (VPE, 2 + 1 + 1 + 1 + 2), (SIZES[4], 2 + 1 + 2 + 2 + 2)],
)
def test_latency(config, latency):
    """Window, product, row, column, and the interconnect of four channels."""
    assert config.latency == latency


def test_macs():
    """(Pn, Pm) = (8, 32) arrays of nine elements."""
    config = SvpeConfig(8, 1, 4, 3, 64, "n3", 16)
    assert (config.outputs, config.macs_per_cycle) == (32, 8 * 32 * 9)


@pytest.mark.parametrize("config", SIZES, ids=name_of)
def test_widths_suffice_and_are_reached(config):
    """Extremes of all operands, on the hardware."""
    largest = int(np.abs(values(config)).max())
    settings = direct_settings(2)
    reached = 0
    for weight in (-largest, largest):
        if weight in values(config):
            weights = np.full((1, config.outputs, config.lanes, config.taps), weight)
            weights = weights * seen(config, line_settings(config, 9, 9))
            shape = (1, config.groups, config.vector_words, config.lanes)
            activations = np.concatenate(
                [np.zeros(shape, np.int64), np.full(shape, (1 << config.activation_bits) - 1)]
            )
            run(config, settings, weights, activations)
            codes = pack(codes_of(config, weights), config.code_bits)
            sums = ENGINES[type(config)].model(config, settings, codes, activations)
            reached = max(reached, int(np.abs(sums).max()))
    assert reached.bit_length() < config.sum_bits
    if config.words == config.taps:
        assert reached.bit_length() == config.sum_bits - 1


@pytest.mark.parametrize("config", [SVPE, VPE], ids=name_of)
def test_start_forgets_what_was_loaded(config):
    """A run begins with its own weights and rows, whatever the run before left."""
    settings = line_settings(config, 4, 5)
    weights, activations = random_run(config, settings, 1)
    engine = ENGINES[type(config)]
    dut, codes = engine(config), codes_of(config, weights)
    expected = engine.model(config, settings, pack(codes, config.code_bits), activations)
    # A tile, seven of its words, and some words of the next tile.
    left = codes[::-1], activations[:7], codes[::-1][:3]
    got = sums_after_an_abandoned_run(dut, settings, left, codes, activations, len(expected))
    assert got == expected.tolist()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"last_vector": 18}, "a tile of weights serves no whole rows"),
        ({"last_vector": 0, "last_column": 0}, "rows of 1 words, lines have 2 to 16"),
        ({"last_vector": 16, "last_column": 16}, "rows of 17 words, lines have 2 to 16"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        Svpe.share(SVPE, {**line_settings(SVPE, 4, 5), **change})


@pytest.mark.parametrize(
    "config, change, message",
    [
        (SVPE, {"lanes": 3}, "lanes = 3: allowed are 4, 8, 16, 32, 64"),
        (SVPE, {"kernel": 4}, "kernel = 4: allowed are 3, 5, 7, 11"),
        (SVPE, {"line_words": 8}, "line_words = 8: allowed is 16 to 4096"),
        (SVPE, {"weights": "n1"}, "weights = n1: allowed are n2, n3, n4, n5"),
        (VPE, {"weights": "n3"}, "weights = n3: allowed are s2, s3, "),
        (VPE, {"groups": True}, "groups = True: allowed are 1, 2, 4"),
        (VPE, {"vector_words": 5}, "vector_words = 5: allowed are 1, 2, 3, 4"),
        (VPE, {"activation_bits": 17}, "activation_bits = 17: allowed is 2 to 16"),
    ],
)
def test_impossible_configs(config, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config, **change)


def test_a_weight_too_large():
    with pytest.raises(ValueError, match="8 is no weight of 4 bits"):
        VPE.encode(np.array([0, 8]))


@pytest.mark.parametrize("config", [SVPE, VPE], ids=name_of)
@pytest.mark.parametrize("family", [None, "xcup"])
def test_conversion(config, family):
    rtlil.convert(ENGINES[type(config)](config, family))
