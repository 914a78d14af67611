"""Requantization in floating point against integers; logarithmic codes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.numbers import Format, quantize, requantize, requantize_float, to_log


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


def test_to_log_is_the_nearest_level():
    codes = np.arange(1 << 12)
    levels = np.unique([0, *(size << k for k in range(13) for size in (1, 3))])
    distance = np.abs(levels[:, None] - codes)
    found = to_log(codes)
    assert found.dtype == np.int64
    assert np.array_equal(np.abs(found - codes), distance.min(axis=0))
    # Ties go up.
    tie = np.count_nonzero(distance == distance.min(axis=0), axis=0) == 2
    assert tie.any()
    assert (found[tie] > codes[tie]).all()
    assert np.array_equal(to_log(found), found)
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 32])
def test_saturated_codes_stay_within_a_logarithmic_format(bits):
    fmt = Format(bits, False, 0, logarithmic=True)
    ends = np.array([fmt.low, fmt.high])
    assert np.array_equal(to_log(ends), ends)
    assert fmt.holds(ends)
    assert quantize(np.array([1e12]), fmt) == fmt.high
    if bits > 3:
        assert not fmt.holds(np.array([5]))


def test_negative_codes_have_no_logarithm():
    with pytest.raises(ValueError, match="a code of a logarithm is 0 or more, not -3"):
        to_log(np.array([4, -3]))
    with pytest.raises(ValueError, match="a logarithmic format is unsigned, this one is signed"):
        Format(8, True, 0, logarithmic=True)
