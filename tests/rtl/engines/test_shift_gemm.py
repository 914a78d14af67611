import dataclasses

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.columns.plan import PLANS
from rtl.engines.shift_gemm import ShiftGemm, ShiftGemmConfig
from rtl.packing import pack
from sim.bench import Bench, plain
from tests.engine_runs import sums_after_an_abandoned_run

SIZES = [
    ShiftGemmConfig(4, 1, 4, "w3", 0, 4),
    ShiftGemmConfig(4, 3, 2, "w4r", 0, 8),
    ShiftGemmConfig(4, 2, 1, "log5", 0, 8),
    ShiftGemmConfig(8, 1, 1, "sp2", 0, 4),
    ShiftGemmConfig(4, 2, 2, "w4r", 2, 8),
    ShiftGemmConfig(4, 1, 2, "log5", 4, 8),
]


def name_of(value):
    return "-".join(map(str, value.to_dict().values())) if dataclasses.is_dataclass(value) else None


def splits(config):
    return range(config.groups.bit_length())


def random_run(config, tiles, vectors, signed=0, split=0, seed=0):
    """Settings, weight codes ``[words, lanes of a column]`` and activations of a run."""
    rng = np.random.default_rng(seed)
    words = tiles * config.lanes << split
    codes = rng.integers(0, 1 << config.plan.format.bits, (words, config.column_lanes))
    shape = (tiles * vectors, config.groups, config.vector_words, config.lanes)
    activations = rng.integers(0, 1 << config.activation_bits, shape)
    return {"last_vector": vectors - 1, "signed": signed, "split": split}, codes, activations


def run(config, settings, codes, activations, stall=0.0, seed=0):
    """Drive the engine, compare with the model; cycles of weights, activations and sums."""
    dut = ShiftGemm(config)
    expected = ShiftGemm.model(
        config, settings, pack(codes, config.plan.format.bits), activations
    ).tolist()
    bench = Bench(dut, seed=seed)
    sums = []

    async def receiver(ctx):
        cycles = []
        while len(sums) < len(expected):
            *_, cycle, valid, word = await ctx.tick().sample(bench.cycle, dut.valid, dut.sums)
            if valid:
                sums.append(plain(word))
                cycles.append(cycle)
        received.extend(cycles)

    received: list[int] = []
    sent = {}

    def sender(name, values):
        async def testbench(ctx):
            await ctx.tick()
            ctx.set(dut.start, 0)
            sent[name] = await bench.send(ctx, getattr(dut, name), values, stall)

        return testbench

    async def starter(ctx):
        ctx.set(dut.settings, settings)
        ctx.set(dut.start, 1)

    bench.run(starter, sender("weights", codes), sender("activations", activations), receiver)
    assert sums == expected
    return sent["weights"], sent["activations"], received


@pytest.mark.parametrize("config", SIZES, ids=name_of)
@pytest.mark.parametrize("signed", [0, 1])
def test_sums(config, signed):
    for split in splits(config):
        run(config, *random_run(config, 3, 5, signed, split))


@pytest.mark.parametrize("config", SIZES, ids=name_of)
@pytest.mark.parametrize("vectors", [1, 6])
def test_stalls(config, vectors):
    for seed, split in enumerate(splits(config)):
        run(config, *random_run(config, 4, vectors, 1, split, seed), stall=0.4, seed=seed)


@pytest.mark.parametrize("vectors", [1, 2, 4, 5, 9, 12])
@pytest.mark.parametrize("split", [0, 1])
def test_timing(vectors, split):
    """Latency of a word, and one tile every ``max(vectors, lanes * g + 1)`` cycles."""
    config, tiles = SIZES[1], 4
    weights, taken, sums = run(config, *random_run(config, tiles, vectors, split=split))
    assert sums == [cycle + config.latency for cycle in taken]
    # The first words wait for the first tile, of which a word comes each cycle.
    words = config.lanes << split
    assert weights[:words] == list(range(weights[0], weights[0] + words))
    period = max(vectors, words + 1)
    first = weights[0] + words
    assert taken == [first + t * period + v for t in range(tiles) for v in range(vectors)]


def test_macs():
    assert ShiftGemmConfig(16, 3, 2, "w4r", 0, 8).macs_per_cycle == 16 * 3 * 16 * 2


def test_latency():
    assert ShiftGemmConfig(16, 3, 2, "w4r", 0, 8).latency == 2 + 2 + 4
    assert ShiftGemmConfig(8, 1, 1, "w3", 0, 8).latency == 2 + 1 + 2
    # A multiplication, four additions in a chain, a tree of twelve chains, and the folding.
    assert ShiftGemmConfig(16, 3, 2, "w4r", 4, 8).latency == 2 + 1 + 4 + 3 + 1


@pytest.mark.parametrize("weights", PLANS)
@pytest.mark.parametrize("signed", [0, 1])
def test_model_is_the_dot_product(weights, signed):
    """Sums less the excess of each weight are the exact products, for every regrouping."""
    config = ShiftGemmConfig(4, 2, 4, weights, 0, 8)
    fmt, bits = config.plan.format, config.activation_bits
    for split in splits(config):
        settings, codes, activations = random_run(config, 3, 4, signed, split)
        # Codes of weights as the compiler makes them: zero has no sign.
        codes = fmt.encode(fmt.decode(codes))
        sums = ShiftGemm.model(config, settings, pack(codes, fmt.bits), activations)
        w = fmt.decode(codes)
        correction = ShiftGemm.excess(config, w) + signed * (w << bits - 1)
        blocks = (3, 1 << split, config.lanes)
        w, correction = w.reshape(*blocks, -1), correction.sum(axis=-1).reshape(blocks)
        half = signed << bits - 1
        value = ((activations ^ half) - half).reshape(3, 4, config.groups, -1)
        for p in range(config.groups):
            block = p % (1 << split)
            exact = np.einsum("tvl,tcl->tvc", value[:, :, p], w[:, block])
            found = sums.reshape(3, 4, config.groups, -1)[:, :, p]
            assert np.array_equal(found - correction[:, None, block], exact)


def test_widths_are_reached_and_suffice():
    """The largest sum needs all but the sign bit of ``sum_bits``."""
    for config in SIZES:
        plan = config.plan
        code = int(np.argmax(plan.folds(config.activation_bits))) | 1 << plan.sign
        codes = np.full((config.lanes, config.column_lanes), code)
        lowest = np.zeros((1, config.groups, config.vector_words, config.lanes), np.int64)
        settings = {"last_vector": 0, "signed": 0, "split": 0}
        sums = ShiftGemm.model(config, settings, pack(codes, plan.format.bits), lowest)
        assert int(sums.max()).bit_length() == config.sum_bits - 1


def test_start_forgets_half_a_tile():
    """A run begins with its own weights whatever the run before left."""
    config = SIZES[1]
    settings, codes, activations = random_run(config, 2, 3)
    dut = ShiftGemm(config)
    words = pack(codes, config.plan.format.bits)
    expected = ShiftGemm.model(config, settings, words, activations)
    # A tile, two of its three words, and half of the next tile.
    left = codes[::-1][:4], activations[::-1][:2], codes[::-1][:2]
    got = sums_after_an_abandoned_run(dut, settings, left, codes, activations, len(expected))
    assert got == expected.tolist()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lanes": 3}, "lanes = 3: allowed are 4, 8, 16, 32, 64"),
        ({"lanes": True}, "lanes = True: allowed are 4, 8"),
        ({"vector_words": 5}, "vector_words = 5: allowed are 1, 2, 3, 4"),
        ({"groups": 3}, "groups = 3: allowed are 1, 2, 4"),
        ({"weights": "w5"}, "weights = w5: allowed are w3, w4r, w4, sp2, log4, log5"),
        ({"weights": 4}, "weights = 4: allowed are w3"),
        ({"dsp_columns": 3}, "dsp_columns = 3: allowed are even numbers from 0 to 4"),
        (
            {"dsp_columns": 2, "weights": "log5", "activation_bits": 12},
            "dsp_columns = 2: two products of log5 weights and 12-bit activations do not fit",
        ),
        ({"activation_bits": 17}, "activation_bits = 17: allowed is 2 to 16"),
    ],
)
def test_impossible_configs(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SIZES[1], **change)


@pytest.mark.parametrize("family", [None, "xc7"])
def test_conversion(family):
    rtlil.convert(ShiftGemm(SIZES[2], family))
