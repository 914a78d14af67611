import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.nest import LoopNest
from rtl.split.accumulate import SplitAccumulator
from rtl.split.parts import PARTS, part_count, sum_bits
from tests.rtl.split.feed import feed

PLACE_BITS, LANES, WORDS = 25, 2, 8


def accumulator():
    bits = PARTS * PLACE_BITS
    return SplitAccumulator(LANES, bits, bits, WORDS, 0, bits)


@pytest.mark.parametrize("width", range(3))
def test_parts_add_up_on_their_own(width):
    """Two addresses by turns, six words each, and sums that leave their part."""
    parts, bits = part_count(width), sum_bits(PLACE_BITS, width)
    unit, half = PLACE_BITS << width, 1 << sum_bits(PLACE_BITS, width) - 1
    rng = np.random.default_rng(width)
    sums = rng.integers(-half, half - 1, (12, LANES, parts))
    level = {"last": 1, "step": 1}, {"last": 5, "step": -1}, *[{"last": 0, "step": 0}] * 2
    steps = LoopNest.model({"address": 3, "levels": list(level)}, 3)
    words = [
        {
            "address": int(steps["address"][n]),
            "first": [int(bit) for bit in steps["first"][n]],
            "last": [int(bit) for bit in steps["last"][n]],
            "index": 0,
        }
        for n in range(12)
    ]
    rows = []
    for n in range(13):
        row = {"width": width, "valid": int(n > 0)}
        if n < 12:
            row |= {"step.valid": 1, "step.payload": words[n]}
        if n:
            fields = [
                sum((int(part) % (1 << unit)) << unit * p for p, part in enumerate(lane))
                for lane in sums[n - 1]
            ]
            row["sums"] = [signed(field, PARTS * PLACE_BITS) for field in fields]
        rows.append(row)
    found = feed(accumulator(), rows, ["o_valid", "o"], SplitAccumulator.latency)
    finished = [o for o_valid, o in found if o_valid]
    exact = sums.astype(object).reshape(6, 2, LANES, parts).sum(axis=0)
    mask = (1 << bits) - 1
    got = [[[field >> unit * p & mask for p in range(parts)] for field in o] for o in finished]
    assert got == (exact % (1 << bits)).tolist()


def signed(value, bits):
    return value - ((value >> bits - 1) << bits)


def test_conversion():
    rtlil.convert(accumulator())
