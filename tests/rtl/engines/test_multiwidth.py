import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.engines.multiwidth import Multiwidth, MultiwidthConfig
from rtl.packing import pack
from rtl.split.parts import PARTS, fields_of, part_count, sum_bits, width_bits
from sim.bench import Bench, plain

SIZES = [MultiwidthConfig(2, 24, 32), MultiwidthConfig(4, 28, 32)]
WIDTHS = range(3)


def random_run(config, width, tiles, vectors, seed=0):
    """Settings, unsigned fields of weights ``[words, lanes]`` and activations of a run."""
    rng = np.random.default_rng(seed)
    bits, lanes = width_bits(width), config.lanes
    half = 1 << bits - 1
    weights = rng.integers(-half, half, (tiles * lanes, lanes * part_count(width)))
    weights[0], weights[1] = -half, half - 1
    # At 8 and 16 bits codes may be without a sign.
    high = half if width == 2 else 2 * half
    activations = rng.integers(-half, high, (tiles * vectors, 1, 1, lanes))
    activations[0], activations[-1] = -half, high - 1
    return width, {"last_vector": vectors - 1}, fields_of(weights, width), activations


def expected_fields(config, width, settings, weights, activations):
    """The model's sums as fields."""
    sums = Multiwidth.model(config, settings | {"width": width}, pack(weights, 32), activations)
    parts = sums.reshape(len(sums), config.lanes, -1)
    place = config.place_bits << width if width < 2 else sum_bits(config.place_bits, width)
    return [
        [sum((int(part) % (1 << place)) << place * p for p, part in enumerate(field))
         for field in word]
        for word in parts
    ]  # fmt: skip


def run(config, *runs, stall=0.0, seed=0):
    """Drive the engine through runs; cycles of weights, activations and sums of the last."""
    dut = Multiwidth(config)
    bench = Bench(dut, seed=seed)
    cycles = {}
    started = [-1]
    found = []

    async def weights(ctx):
        for number, (width, settings, fields, _) in enumerate(runs):
            ctx.set(dut.width, width)
            ctx.set(dut.settings, settings)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            started[0] = number
            cycles["weights"] = await bench.send(ctx, dut.weights, fields, stall)
            while len(found) <= number:
                await ctx.tick()

    async def activations(ctx):
        for number, (_, _, _, vectors) in enumerate(runs):
            while started[0] < number:
                await ctx.tick()
            cycles["activations"] = await bench.send(ctx, dut.activations, vectors, stall)

    async def receiver(ctx):
        for _, _, _, vectors in runs:
            sums, cycles["sums"] = [], []
            while len(sums) < len(vectors):
                *_, cycle, valid, word = await ctx.tick().sample(bench.cycle, dut.valid, dut.sums)
                if valid:
                    sums.append(plain(word)[0])
                    cycles["sums"].append(cycle)
            found.append(sums)

    bench.run(weights, activations, receiver)
    whole = (1 << PARTS * config.place_bits) - 1
    for (width, *rest), sums in zip(runs, found, strict=True):
        mask = (1 << 64) - 1 if width == 2 else whole
        assert [[field & mask for field in word] for word in sums] == expected_fields(
            config, width, *rest
        )
    return cycles


@pytest.mark.parametrize("config", SIZES, ids=str)
@pytest.mark.parametrize("width", WIDTHS)
def test_sums_and_latency(config, width):
    cycles = run(config, random_run(config, width, 3, 9))
    assert np.array_equal(np.array(cycles["sums"]) - cycles["activations"], [config.latency] * 27)


@pytest.mark.parametrize("seed", range(2))
def test_runs_of_all_widths_with_stalls(seed):
    config = SIZES[0]
    runs = [random_run(config, width, 2, 4, seed) for width in (0, 2, 1, 0)]
    run(config, *runs, stall=0.4, seed=seed)


def test_sums_of_32_bits_wrap_at_64():
    config = SIZES[0]
    width, settings, weights, activations = random_run(config, 2, 1, 2)
    weights[...] = 1 << 31
    activations[...] = -(1 << 31)
    run(config, (width, settings, weights, activations))


def test_conversion():
    rtlil.convert(Multiwidth(SIZES[0]))


@pytest.mark.parametrize(
    "key, value, allowed",
    [("lanes", 3, "2, 4, 8, 16"), ("place_bits", 32, "24 to 31"), ("activation_bits", 8, "are 32")],
)
def test_refused_sizes(key, value, allowed):
    keys = {"lanes": 4, "place_bits": 28, "activation_bits": 32}
    with pytest.raises(ValueError, match=f"{key} = {value}: allowed .*{allowed}"):
        MultiwidthConfig(**keys | {key: value})
