import numpy as np
import pytest

from compiler.layout import FOLDED, Layout, Unfolding


def test_default():
    layout = Layout.default(5, 4)
    assert (layout.blocks, layout.channels) == (2, 5)
    assert layout.place.tolist() == [0, 1, 2, 3, 4]


def test_concatenation_of_concatenations_leaves_lanes_unused():
    inner = Layout.concatenate([Layout.default(3, 4), Layout.default(1, 4)])
    outer = Layout.concatenate([Layout.default(5, 4), inner])
    assert outer.blocks == 4
    assert outer.channels == 9
    assert outer.place.tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 12]
    assert outer.used.tolist() == outer.place.tolist()


def test_spread():
    layout = Layout.concatenate([Layout.default(1, 2), Layout.default(2, 2)])
    values = np.arange(6).reshape(3, 2)
    assert layout.spread(values).tolist() == [[0, 1], [0, 0], [2, 3], [4, 5]]


@pytest.mark.parametrize("unfolding", [FOLDED, Unfolding(3, 1), Unfolding(2, 0), Unfolding(5, 3)])
def test_unfolding(unfolding):
    codes = np.random.default_rng(0).integers(1, 100, (2, 3, 6, 4))
    stored = unfolding.unfold(codes)
    assert stored.shape[1:] == unfolding.shape((3, 6, 4))
    for d in range(unfolding.rows):
        for y in range(stored.shape[2]):
            row = y - unfolding.top + d
            expected = codes[:, :, row] if 0 <= row < 6 else np.zeros((2, 3, 4))
            assert np.array_equal(stored[:, 3 * d : 3 * d + 3, y], expected)
    assert np.array_equal(unfolding.fold(stored, (3, 6, 4)), codes)


@pytest.mark.parametrize(
    "unfolding, shape",
    [
        (Unfolding(2, 1, 2, 2, 1, 2), (3, 7, 8)),
        (Unfolding(4, 2, 4, 4, 0, 4), (3, 23, 22)),
        (Unfolding(4, 0, 4, 1, 0, 1), (2, 9, 5)),
        (Unfolding(1, 0, 1, 3, 2, 1), (2, 4, 5)),
    ],
)
def test_phases_as_channels(unfolding, shape):
    u = unfolding
    codes = np.random.default_rng(0).integers(1, 100, (2, *shape))
    stored = u.unfold(codes)
    assert stored.shape[1:] == u.shape(shape)
    channels, height, width = shape
    for d, e, y, x in np.ndindex(u.rows, u.columns, *stored.shape[2:]):
        row, column = y * u.down - u.top + d, x * u.across - u.left + e
        inside = 0 <= row < height and 0 <= column < width
        expected = codes[:, :, row, column] if inside else np.zeros((2, channels))
        first = (d * u.columns + e) * channels
        assert np.array_equal(stored[:, first : first + channels, y, x], expected)
    assert np.array_equal(u.fold(stored, shape), codes)
