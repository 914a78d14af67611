import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.split.adder import SplitAdder
from rtl.split.parts import PARTS, part_count, sum_bits
from tests.rtl.split.feed import feed


def joined(parts, place_bits, width):
    """Fields of signed parts ``[rows, parts]``, Python integers."""
    bits = place_bits << width
    mask = (1 << bits) - 1
    return [sum((part & mask) << bits * p for p, part in enumerate(row)) for row in parts.tolist()]


def check(place_bits, width, a, b, subtract):
    """Sums of parts ``[rows, parts]``; above 64 bits a field is not looked at."""
    fields = zip(joined(a, place_bits, width), joined(b, place_bits, width), strict=True)
    rows = [{"width": width, "subtract": int(subtract), "a": x, "b": y} for x, y in fields]
    found = [field for (field,) in feed(SplitAdder(place_bits), rows, ["o"])]
    expected = joined(SplitAdder.model(place_bits, width, a, b, subtract), place_bits, width)
    bits = min(PARTS * place_bits, 64) if width == 2 else PARTS * place_bits
    mask = (1 << bits) - 1
    assert [field & mask for field in found] == [field & mask for field in expected]


@pytest.mark.parametrize("subtract", [False, True])
def test_every_sum_of_8_bits(subtract):
    """A quarter of all pairs at each place, others beside them."""
    a, b = (side.reshape(-1, PARTS) for side in np.mgrid[-128:128, -128:128])
    check(8, 0, a, b, subtract)


@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize("width", range(3))
@pytest.mark.parametrize("place_bits", [8, 28])
def test_borders_and_random_sums(place_bits, width, subtract):
    bits = min(sum_bits(place_bits, width), place_bits << width)
    half, rng = 1 << bits - 1, np.random.default_rng(width)
    borders = np.array([-half, -1, 0, 1, half - 1, half // 2], np.int64)
    pairs = np.stack(np.meshgrid(borders, borders), axis=-1).reshape(-1, 2)
    parts = part_count(width)
    a, b = (
        np.concatenate([rng.permuted(np.tile(side[:, None], parts), axis=0), more])
        for side, more in zip(pairs.T, rng.integers(-half, half - 1, (2, 300, parts)), strict=True)
    )
    check(place_bits, width, a, b, subtract)


def test_conversion():
    rtlil.convert(SplitAdder(5))
