import numpy as np
import pytest

from compiler.layout import Layout
from compiler.tensor import PlacedTensor
from quant.numbers import Format


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_words_and_back(signed, bits):
    fmt = Format(bits, signed, 0)
    layout = Layout.concatenate([Layout.default(3, 4), Layout.default(6, 4)])
    tensor = PlacedTensor("x", (9, 2, 3), fmt, 0, layout)
    codes = np.random.default_rng(bits).integers(fmt.low, fmt.high + 1, (5, 9, 2, 3))
    words = tensor.to_words(codes, bits)
    assert words.shape[:2] == (5, tensor.words) == (5, 3 * 6)
    assert np.array_equal(tensor.from_words(words, bits), codes)


def test_place_of_a_code():
    tensor = PlacedTensor("x", (5, 2, 3), Format(8, True, 0), 0, Layout.default(5, 4))
    codes = np.zeros((1, 5, 2, 3), np.int64)
    codes[0, 4, 1, 2] = -1
    lanes = tensor.to_lanes(codes, 8)
    assert np.argwhere(lanes).tolist() == [[0, (1 * 2 + 1) * 3 + 2, 0]]
    assert lanes.max() == 255
    assert tensor.to_words(codes, 8)[0, 11, 0] == 0xFF
