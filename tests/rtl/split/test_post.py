import numpy as np
import pytest
from amaranth.back import rtlil

from quant.stochastic import channel_keys
from rtl.split.load import PackedLoad
from rtl.split.noise import Noise
from rtl.split.parts import PARTS, part_count, places, width_bits
from rtl.split.post import SplitPost
from rtl.split.requantize import SplitRequantize
from rtl.split.store import PackedStore
from tests.rtl.split.feed import feed

LANES, PLACE_BITS = 2, 26
SEED, BLOCKS, POSITIONS = 0xC0FFEE, 2, 9
WIDTHS = [(2, 2, 2), (2, 0, 1), (1, 1, 0), (1, 0, 1), (0, 0, 0)]
"""Of the run, its residual and its output."""


def packed(values, width, bits):
    """A field of sums of signed parts."""
    mask = (1 << min(bits << width, 64)) - 1
    return sum((int(value) & mask) << (bits << width) * p for p, value in enumerate(values))


def in_places(values, width):
    """Values of parts at their places, 0 elsewhere."""
    result = [0] * PARTS
    for place, value in zip(places(width), values, strict=True):
        result[place] = int(value)
    return result


@pytest.mark.parametrize("residual", [0, 1])
@pytest.mark.parametrize("stochastic", [0, 1])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_words(widths, stochastic, residual):
    """Words of two blocks with gaps between them, each against the models of all that it passes."""
    run, own, output = widths
    parts, rng = part_count(run), np.random.default_rng(run)
    words = BLOCKS * POSITIONS
    shape = (words, LANES, parts)
    half = 1 << width_bits(output) - 1
    shift = np.repeat(rng.integers(3, 12, (BLOCKS, LANES, parts)), POSITIONS, axis=0)
    bias = np.repeat(rng.integers(-1000, 1000, (BLOCKS, LANES, parts)), POSITIONS, axis=0)
    sums = rng.integers(-half, half, shape) << 6
    fields = rng.integers(0, 1 << 31, (words, LANES))
    keys = channel_keys(BLOCKS * LANES * parts)[:: LANES * parts]
    index, at = rng.integers(0, 4, words), rng.integers(0, 4, words)

    settings = {"residual": residual, "residual_signed": 1, "offset": 3, "stochastic": stochastic}
    common = {
        "settings": settings | {"seed": SEED, "low": -half, "high": half - 1},
        "widths": {"run": run, "residual": own, "output": output, "activation": 0, "operation": 0},
        "residual.valid": 1,
    }
    rows, taken = [common], []
    for number in range(words):
        lanes = [
            {
                "bias": packed(bias[number, lane], run, PLACE_BITS),
                "shift": in_places(shift[number, lane], run),
            }
            for lane in range(LANES)
        ]
        each = [packed(part, run, PLACE_BITS) for part in sums[number]]
        sign = 1 << PARTS * PLACE_BITS
        taken.append(len(rows))
        rows.append(
            {
                "i.valid": 1,
                "i.p": [[field - sign * (2 * field >= sign) for field in each]],
                "parameters.p": {"fields": lanes, "key": int(keys[number // POSITIONS])},
                "block": int(number % POSITIONS == 0),
                "residual.p": fields[number].tolist(),
                "residual_index": int(index[number]),
            }
        )
        rows += [{"i.valid": 0}] * (number % 3)
    # With the codes of a word comes which parts of the output they are.
    latency = SplitPost.latency
    rows += [{"i.valid": 0}] * latency
    for number, row in enumerate(taken):
        rows[row + latency] = rows[row + latency] | {"index": int(at[number])}
    dut = SplitPost(LANES, PLACE_BITS)
    names = ["valid", "o", "mask", "residual.ready", "parameters.ready"]
    found = feed(dut, rows, names)

    # Parameters and residuals are taken with their word.
    for column, wanted in ((4, taken), (3, taken if residual else [])):
        assert [number for number, row in enumerate(found) if row[column]] == wanted
    given = [number for number, row in enumerate(found) if row[0]]
    assert given == [row + latency for row in taken]
    codes = np.zeros((words, LANES, parts), np.int64)
    if residual:
        loaded = PackedLoad.model(run, own, index, True, fields)
        codes = loaded.reshape(shape)
    noise = Noise.model(run, LANES, SEED, keys, POSITIONS).reshape(shape) if stochastic else None
    made = SplitRequantize.model(sums + bias, codes, shift, noise, 3, -half, half - 1)
    wanted, masks = PackedStore.model(run, output, at, made.reshape(words, -1))
    for number, row in enumerate(taken):
        _, o, mask, _, _ = found[row + latency]
        bits = int(masks[number])
        assert mask == sum(written_bytes(bits) << PARTS * lane for lane in range(LANES))
        for lane in range(LANES):
            assert o >> 32 * lane & bits == wanted[number, lane]


def written_bytes(bits):
    """Which bytes of a field a mask of bits has."""
    return sum(1 << byte for byte in range(4) if bits >> 8 * byte & 1)


def test_conversion():
    rtlil.convert(SplitPost(LANES, PLACE_BITS))
