"""Views against the layers that express them, on random rearrangements."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.floating import run_layer, to_tensor
from quant.importers.lowering import express, frame, to_float32
from quant.importers.views import ZERO, Selection, Unsupported, View, axis_window

SOURCE = (3, 5, 4)


def whole(batch: int = 2) -> View:
    return View("x", SOURCE, (batch, *SOURCE), "x")


def check_layer(view: View) -> None:
    """The layer of a view makes exactly the elements that its positions name."""
    x = np.random.default_rng(0).standard_normal((view.shape[0], *view.source)).astype(np.float32)
    expected = np.concatenate([[0], x.ravel()])[view.indices()]
    layer = to_float32(express(view))
    found = run_layer(layer, [to_tensor(x)]).numpy()
    np.testing.assert_array_equal(found.reshape(view.shape), expected)
    assert found.shape[1:] == layer.shape


@st.composite
def axis(draw, size: int):
    """Chosen positions of an axis: a stepped slice, or padding on both sides."""
    if draw(st.booleans()):
        low, high = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        return [-1] * low + list(range(size)) + [-1] * high
    start = draw(st.integers(0, size - 1))
    stop = draw(st.integers(start + 1, size))
    return list(range(start, stop, draw(st.integers(1, 3))))


@settings(max_examples=200, deadline=None)
@given(
    channels=st.lists(st.integers(-1, SOURCE[0] - 1), min_size=1, max_size=6),
    rows=axis(SOURCE[1]),
    columns=axis(SOURCE[2]),
)
def test_any_selection_is_one_layer(channels, rows, columns):
    if max(channels) < 0:
        channels.append(1)
    c, r, k = np.ix_(channels, rows, columns)
    first = np.where((c < 0) | (r < 0) | (k < 0), ZERO, (c * 5 + r) * 4 + k + 1)
    moved = np.stack([first, np.where(first == ZERO, ZERO, first + 60)])
    check_layer(whole().rearranged(moved, "selection"))


@pytest.mark.parametrize("factor", [(1, 2), (3, 1), (2, 2)])
def test_repeated_positions_are_an_upsampling(factor):
    moved = whole().indices().repeat(factor[0], 2).repeat(factor[1], 3)
    check_layer(whole().rearranged(moved, "upsample"))


def test_all_elements_in_order_need_no_positions():
    view = whole().rearranged(whole().indices().reshape(2, 60), "flatten")
    assert view.positions is None and view.shape == (2, 60)


@pytest.mark.parametrize(
    "move",
    [
        lambda p: p[:, :, ::-1],
        lambda p: p.transpose(0, 1, 3, 2),
        lambda p: p[:, :, [0, 1, 3]],
        lambda p: np.pad(p, ((0, 0), (0, 0), (3, 0), (0, 0)))[:, :, ::2][:, :, 1:],
        lambda p: p.reshape(2, 6, 10)[:, :, :5],
        lambda p: p.reshape(2, 3, 20)[:, :, 1:, None, None],
        lambda p: p * 0,
    ],
)
def test_other_moves_have_no_layer_or_are_exact(move):
    view = whole().rearranged(move(whole().indices()), "move")
    try:
        check_layer(view)
    except Unsupported as error:
        assert "move moves elements in a way that no layer expresses" in str(error)


@pytest.mark.parametrize(
    "move, message",
    [
        (lambda p: p.reshape(-1), "loses the batch"),
        (lambda p: p[:1], "loses the batch"),
        (lambda p: p[:, :0], "loses the batch"),
        (lambda p: p[::-1], "from one image"),
        (lambda p: np.stack([p[0], p[0]]), "from one image"),
        (lambda p: p.transpose(1, 0, 2, 3)[:2], "from one image"),
    ],
)
def test_moves_between_images_are_refused(move, message):
    with pytest.raises(Unsupported, match=message):
        whole().rearranged(move(whole().indices()), "move")


def test_frame_is_padding_alone():
    padded = np.pad(whole().indices(), ((0, 0), (0, 0), (1, 2), (0, 3)))
    assert frame(whole().rearranged(padded, "pad")) == (1, 0, 2, 3)
    assert frame(whole()) == (0, 0, 0, 0)
    assert frame(whole().rearranged(padded[:, ::-1], "pad")) is None
    assert frame(whole().rearranged(padded[:, :, ::2], "pad")) is None


def test_selection_of_what_is_not_chosen_apart_is_none():
    diagonal = whole().indices().copy()
    diagonal[:, 0, 0, 0] = ZERO
    assert Selection.of(whole().rearranged(diagonal, "hole")) is None


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 5), st.integers(0, 12))
def test_axis_window_shows_a_stepped_slice(size, step, start, stop):
    shown = np.arange(size)[start:stop:step]
    window = axis_window(shown, size)
    if not shown.size:
        assert window is None
        return
    padded = np.pad(np.arange(size), (window.before, window.after), constant_values=-1)
    starts = range(0, len(padded) - window.kernel + 1, window.stride)
    assert [padded[i + window.tap] for i in starts] == shown.tolist()
