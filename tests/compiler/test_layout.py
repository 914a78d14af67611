import numpy as np

from compiler.layout import Layout


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
