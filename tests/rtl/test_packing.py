"""Words and their pieces against Python's own integers."""

import numpy as np
import pytest

from rtl.packing import pack, pieces, unpack


@pytest.mark.parametrize("bits", (1, 3, 7, 8, 9, 16, 20, 32))
@pytest.mark.parametrize("count", (1, 5, 16))
def test_every_field_stands_at_its_bits(bits, count):
    chance = np.random.default_rng(bits)
    fields = chance.integers(-(1 << bits - 1), 1 << bits - 1, (7, count))
    # Also where rows of another array are given.
    found = pack(fields[::-1], bits)
    assert found.shape == (7, pieces(count * bits)) and found.dtype == np.uint32
    mask = (1 << bits) - 1
    for row, words in zip(fields[::-1].tolist(), found.tolist(), strict=True):
        expected = sum((field & mask) << bits * n for n, field in enumerate(row))
        assert sum(word << 32 * n for n, word in enumerate(words)) == expected
    np.testing.assert_array_equal(unpack(found, bits, count), fields[::-1] & mask)
