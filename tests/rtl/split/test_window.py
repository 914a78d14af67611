import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.isa import Operation
from rtl.split.parts import PARTS, part_count, places, sum_bits, width_bits
from rtl.split.window import WindowOperation
from tests.rtl.split.feed import feed

PLACE_BITS = 26


def as_codes(parts, width):
    """Members of CODES of a field of parts; the others hold anything."""
    codes = {f"place_{place}": (-1) ** place for place in range(PARTS)}
    return codes | {f"place_{at}": int(part) for at, part in zip(places(width), parts)}


def check(width, operation, codes, inside, window):
    """Windows of ``window`` words each, ``codes`` int64 ``[words, lanes, parts]``."""
    lanes = codes.shape[1]
    dut = WindowOperation(lanes, PLACE_BITS)
    rows = [
        {
            "width": width,
            "operation": operation,
            "valid": 1,
            "start": int(number % window == 0),
            "inside": int(inside[number]),
            "codes": [as_codes(field, width) for field in word],
        }
        for number, word in enumerate(codes)
    ]
    found = feed(dut, rows, ["result"], WindowOperation.latency)
    bits = sum_bits(PLACE_BITS, width)
    expected = WindowOperation.model(bits, operation.value, codes, inside[:, None, None], window)
    mask = (1 << min(bits, 64)) - 1
    unit = PLACE_BITS << width
    for (fields,), results in zip(found[window - 1 :: window], expected, strict=True):
        parts = [[field >> unit * p & mask for p in range(codes.shape[2])] for field in fields]
        assert parts == (results.astype(object) % (mask + 1)).tolist()


@pytest.mark.parametrize("operation", Operation)
def test_every_pair_of_8_bits(operation):
    """All pairs of signed codes; each place has a share of them."""
    lanes = 8
    pairs = np.stack(np.mgrid[-128:128, -128:128], axis=-1).reshape(-1, lanes * PARTS, 2)
    codes = pairs.swapaxes(1, 2).reshape(-1, lanes, PARTS)
    check(0, operation, codes, np.ones(len(codes), bool), 2)


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("width", range(3))
def test_windows(width, operation):
    """Of five words, some outside the map, codes with and without a sign, and borders."""
    bits, rng = width_bits(width), np.random.default_rng(width)
    half = 1 << bits - 1
    high = half if width == 2 else 2 * half
    borders = [-half, -1, 0, 1, half - 1, high - 1]
    shape = (500, 2, part_count(width))
    codes = np.where(
        rng.integers(2, size=shape), rng.choice(borders, shape), rng.integers(-half, high, shape)
    )
    inside = rng.integers(0, 2, 500).astype(bool)
    inside[rng.integers(0, 5, 100) + 5 * np.arange(100)] = True
    check(width, operation, codes, inside, 5)


def test_clear_makes_zero():
    dut = WindowOperation(1, PLACE_BITS)
    full = as_codes([1, 2, 3, 4], 0)
    rows = [
        {"valid": 1, "start": 1, "inside": 1, "codes": [full]},
        {"valid": 0, "clear": 1},
        {"clear": 0},
    ]
    first, second, third = feed(dut, rows, ["result"], 1)
    assert first[0] != [0]
    assert second[0] == third[0] == [0]


def test_a_window_outside_the_map_has_no_result():
    with pytest.raises(ValueError, match="a window is wholly outside the map"):
        WindowOperation.model(24, 0, np.zeros((4, 1)), np.array([[1], [0], [0], [0]]), 2)


def test_conversion():
    rtlil.convert(WindowOperation(2, PLACE_BITS))
