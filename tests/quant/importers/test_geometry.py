"""Padding rules against their definitions and torch."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from quant.graph import Window
from quant.importers.geometry import ceil_padding, covers_input, reads_padding, same_padding

small = st.integers(1, 5)


@given(st.integers(1, 30), small, small, small, st.booleans())
def test_same_padding_gives_the_size_divided_by_the_stride(size, kernel, stride, dilation, upper):
    before, after = same_padding(size, kernel, stride, dilation, upper)
    span = dilation * (kernel - 1) + 1
    assert (size + before + after - span) // stride + 1 == -(-size // stride)
    assert abs(before - after) <= 1 and (before <= after if upper else after <= before)


@given(st.integers(1, 20), small, small, st.integers(1, 3), st.integers(0, 2))
def test_ceil_padding_gives_the_size_of_torch(size, kernel, stride, dilation, padding):
    span = dilation * (kernel - 1) + 1
    assume(padding <= kernel // 2 and size + 2 * padding >= span)
    pooled = torch.nn.functional.max_pool1d(
        torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil_mode=True
    )
    extra = ceil_padding(size, kernel, stride, dilation, padding, padding)
    assert (size + 2 * padding + extra - span) // stride + 1 == pooled.shape[2]


@pytest.mark.parametrize(
    "window, covers, reads",
    [
        (Window((2, 2)), True, False),
        (Window((2, 2), padding=(1, 0, 0, 0)), True, True),
        (Window((2, 2), padding=(0, 0, 0, 2)), False, True),
        (Window((1, 1), (2, 2), padding=(0, 0, 1, 1)), True, False),
        (Window((2, 1), dilation=(5, 1), padding=(2, 0, 2, 0)), False, True),
    ],
)
def test_what_windows_see(window, covers, reads):
    assert covers_input(window, (3, 3)) is covers
    assert reads_padding(window, (3, 3)) is reads
