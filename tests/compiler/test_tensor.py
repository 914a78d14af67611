import numpy as np
import pytest

from compiler.layout import Layout, Unfolding
from compiler.tensor import PlacedTensor
from quant.numbers import Format


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("pitch", [3, 5])
def test_words_and_back(signed, bits, pitch):
    fmt = Format(bits, signed, 0)
    layout = Layout.concatenate([Layout.default(3, 4), Layout.default(6, 4)])
    tensor = PlacedTensor("x", (9, 2, 3), fmt, 0, layout, pitch)
    codes = np.random.default_rng(bits).integers(fmt.low, fmt.high + 1, (5, 9, 2, 3))
    words = tensor.to_words(codes, bits)
    assert words.shape[:2] == (5, tensor.words) == (5, 5 * pitch + 3)
    assert np.array_equal(tensor.from_words(words, bits), codes)


def test_place_of_a_code():
    tensor = PlacedTensor("x", (5, 2, 3), Format(8, True, 0), 0, Layout.default(5, 4), 3)
    codes = np.zeros((1, 5, 2, 3), np.int64)
    codes[0, 4, 1, 2] = -1
    lanes = tensor.to_lanes(codes, 8)
    word = (1 * 3 + 2) * 3 + 1  # row 1, column 2, block 1 at a pitch of 3
    assert np.argwhere(lanes).tolist() == [[0, word, 0]]
    assert lanes.max() == 255
    assert tensor.to_words(codes, 8)[0, word, 0] == 0xFF


def test_between_the_blocks_stand_others():
    tensor = PlacedTensor("x", (4, 1, 2), Format(8, False, 0), 0, Layout.default(4, 4), 3)
    words = np.full((1, tensor.words, 4), 7)
    words[0, 1:3] = 99
    assert (tensor.from_lanes(words, 8) == 7).all()


def test_an_unfolded_image():
    unfolding = Unfolding(3, 1)
    tensor = PlacedTensor("x", (2, 4, 5), Format(8, True, 0), 0, Layout.default(6, 8), 1, unfolding)
    assert tensor.stored == (6, 5, 5)
    assert tensor.words == 25
    codes = np.random.default_rng(0).integers(-128, 128, (2, 2, 4, 5))
    lanes = tensor.to_lanes(codes, 8)
    # Stored row 1, column 3 holds the image's rows 0, 1 and 2.
    expected = codes[:, :, 0:3, 3].transpose(0, 2, 1).reshape(2, 6) & 255
    assert np.array_equal(lanes[:, 1 * 5 + 3, :6], expected)
    assert np.array_equal(tensor.from_lanes(lanes, 8), codes)
