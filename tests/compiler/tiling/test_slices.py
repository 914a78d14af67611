import numpy as np
import pytest

from compiler.layout import FOLDED, Layout, Layouts
from compiler.prepare import prepare
from compiler.tiling.boxes import Box
from compiler.tiling.slices import as_row, is_row, may_slice, row_layout, sliced, slices
from compiler.tiling.tasks import slices_of, task_of
from quant.graph import Window
from tests.random_networks import NetworkBuilder


def prepared_for(graph, lanes):
    return prepare(graph, lanes, Layouts(lanes), 1, lambda *_: FOLDED)


def layer_of(shape, outputs, window, groups=1, residual=None):
    net = NetworkBuilder(shape, np.random.default_rng(1))
    net.conv("input", outputs, window, groups, residual)
    return net.layers[0]


@pytest.mark.parametrize("count", [2, 3, 5, 40])
@pytest.mark.parametrize("blocks, words", [(1568, 3), (12, 1), (7, 4), (2, 3), (1, 1)])
def test_slices_cover_all_blocks_in_whole_vectors(blocks, words, count):
    parts = slices(blocks, words, count, row=False)
    assert len(parts) == min(count, -(-blocks // words))
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[0].first == 0
    assert [part.first + part.blocks for part in parts] == [
        *(part.first for part in parts[1:]),
        blocks,
    ]
    assert all(part.blocks % words == 0 for part in parts[:-1])
    vectors = [-(-part.blocks // words) for part in parts]
    assert max(vectors) - min(vectors) <= 1 and vectors[0] == max(vectors)


def test_what_can_be_sliced():
    window = Window((3, 3), padding=(1, 1, 1, 1))
    assert may_slice(layer_of((4, 3, 3), 4, window))
    assert not may_slice(layer_of((4, 3, 3), 4, window, groups=2))
    net = NetworkBuilder((4, 3, 3), np.random.default_rng(1))
    net.max_pool("input", window)
    assert not may_slice(net.layers[0])


@pytest.mark.parametrize(
    "window, row",
    [
        (Window((3, 4)), True),
        (Window((3, 3)), False),
        (Window((3, 4), padding=(0, 1, 0, 0)), False),
        (Window((2, 4), dilation=(2, 1)), False),
    ],
)
def test_a_row_is_a_window_of_the_whole_map(window, row):
    assert is_row(layer_of((5, 3, 4), 2, window), (5, 3, 4)) == row


def words_of(codes, layout):
    """The words of a map as they stand in memory: lanes of all of them."""
    channels, height, width = codes.shape
    found = np.zeros((height * width, len(layout.slots)), np.int64)
    found[:, layout.place] = codes.reshape(channels, -1).T
    return found.reshape(-1)


@pytest.mark.parametrize(
    "layout",
    [Layout.default(5, 4), Layout.concatenate([Layout.default(2, 4), Layout.default(3, 4)])],
)
def test_a_row_adds_up_the_words_of_the_map(layout):
    layer = layer_of((5, 3, 2), 3, Window((3, 2)))
    codes = np.random.default_rng(0).integers(-9, 9, (5, 3, 2))
    expected = np.einsum("ocyx,cyx->o", layer.weight, codes)
    row, flat = as_row(layer), row_layout(layout, 6)
    assert row.window == Window() and row.weight.shape == (3, 30, 1, 1)
    words = words_of(codes, layout)
    assert np.array_equal(row.weight[:, :, 0, 0] @ words[flat.place], expected)
    # And its slices, word by word.
    total = 0
    for part in slices(6 * layout.blocks, 2, 4, row=True):
        own, seen = sliced(layer, layout, part)
        mine = words[part.first * 4 :][: part.blocks * 4]
        total = total + own.weight[:, :, 0, 0] @ mine[seen.place]
    assert np.array_equal(total, expected)


def test_slices_of_a_task_read_parts_of_one_box():
    """All of them have the box of the whole on chip; what they see adds up to its channels."""
    net = NetworkBuilder((20, 4, 4), np.random.default_rng(3))
    x = net.conv("input", 20, Window((3, 3), padding=(1, 1, 1, 1)))
    net.conv(x, 9, Window((3, 3), padding=(1, 1, 1, 1)))
    prepared = prepared_for(net.graph(), 4)
    task = task_of(prepared, prepared.steps[1], Box(1, 2, 0, 4, 0, 1))
    parts = slices_of(task, 1, 3)
    assert [part.makes for part in parts] == [False, False, True]
    assert len({part.shape for part in parts}) == 3
    for part in parts:
        (source,), (whole,) = part.inputs, task.inputs
        assert (source.box, source.layout, source.words) == (whole.box, whole.layout, whole.words)
        seen = source.placed(100)
        assert seen.address == 100 + part.part.first
        assert seen.pitch == whole.pitch and seen.shape[1:] == whole.shape[1:]
        assert part.tile.layer.weight.shape == (4, seen.shape[0], 3, 3)
    joined = np.concatenate([part.tile.layer.weight for part in parts], axis=1)
    assert np.array_equal(joined, task.tile.layer.weight)
    assert slices_of(task, 5, 3) == [task]


def test_a_fully_connected_task_is_seen_as_a_row():
    net = NetworkBuilder((20, 2, 3), np.random.default_rng(3))
    net.conv("input", 9, Window((2, 3)))
    prepared = prepared_for(net.graph(), 4)
    task = task_of(prepared, prepared.steps[0], Box(0, 1, 0, 1, 0, 3))
    first, *_, last = slices_of(task, 3, 4)
    assert first.inputs[0].placed(7).shape == (36, 1, 1)
    assert last.inputs[0].placed(7).address == 7 + 24
    assert last.tile.layer.weight.shape == (9, 24, 1, 1)
