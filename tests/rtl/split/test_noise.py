import numpy as np
import pytest
from amaranth.back import rtlil

from quant.stochastic import channel_keys, stochastic_noise
from rtl.split.noise import Noise
from rtl.split.parts import part_count, places
from tests.rtl.split.feed import feed

LANES, POSITIONS, BLOCKS = 2, 5, 3
SEED = 0xDEADBEEF


@pytest.mark.parametrize("width", range(3))
def test_noise_is_that_of_the_reference(width):
    parts = part_count(width)
    channels = BLOCKS * LANES * parts
    keys = channel_keys(channels)[:: LANES * parts]
    model = Noise.model(width, LANES, SEED, keys, POSITIONS)
    reference = stochastic_noise(SEED, channels, POSITIONS)
    # Channel of block b, part p, lane l is (b * parts + p) * LANES + l.
    expected = reference.reshape(BLOCKS, parts, LANES, POSITIONS).transpose(0, 3, 2, 1)
    assert np.array_equal(model, expected.reshape(BLOCKS * POSITIONS, -1))

    # Words come with gaps, in which nothing moves on.
    rows, taken = [], []
    for block in range(BLOCKS):
        for position in range(POSITIONS):
            row = {"width": width, "seed": SEED, "key": int(keys[block])}
            taken.append(len(rows))
            rows.append(row | {"take": 1, "block": int(position == 0)})
            rows += [{"take": 0}] * (position % 3)
    rows += [{"take": 0}] * Noise.latency
    found = feed(Noise(LANES), rows, ["o"], Noise.latency)
    for at, words in zip(taken, model, strict=True):
        (lanes,) = found[at]
        assert [lane[place] for lane in lanes for place in places(width)] == words.tolist()


def test_conversion():
    rtlil.convert(Noise(2))
