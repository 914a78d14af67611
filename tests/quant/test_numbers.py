"""The floating-point requantization equals the integer one wherever it is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.numbers import requantize, requantize_float


@pytest.mark.parametrize(("kind", "bits"), [(np.float32, 24), (np.float64, 53)])
@settings(deadline=None)
@given(data=st.data())
def test_requantize_float_equals_requantize(kind, bits, data):
    limit = 1 << data.draw(st.integers(0, bits))
    integers = st.integers(-limit, limit)
    x = np.array(data.draw(st.lists(integers, min_size=1, max_size=50)))
    shift = data.draw(st.integers(0, 40))
    # Ties are what could differ: put every value beside one.
    x = np.concatenate([x, (x >> shift << shift) | (1 << shift >> 1)])
    x = x[np.abs(x) <= 1 << bits]
    low, high = sorted(data.draw(st.tuples(*[st.integers(-(2**20), 2**20)] * 2)))
    expected = requantize(x, shift, low, high)
    assert np.array_equal(requantize_float(x.astype(kind), shift, low, high), expected)
