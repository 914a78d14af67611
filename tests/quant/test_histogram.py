"""Histograms that grow."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quant.histogram import BINS, Histogram

values = arrays(
    np.float32,
    st.integers(1, 30),
    elements=st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=5))
def test_every_value_is_counted_in_its_bin(batches):
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    everything = np.concatenate(batches).astype(np.float64)
    assert histogram.count == everything.size
    assert histogram.zeros == (everything == 0).sum()
    assert histogram.positive.sum() == (everything > 0).sum()
    assert (histogram.low, histogram.high) == (min(everything.min(), 0), max(everything.max(), 0))
    assert histogram.signed == (everything < 0).any()
    if histogram.limit:
        for counts, side in ((histogram.positive, everything), (histogram.negative, -everything)):
            expected, _ = np.histogram(side[side > 0], histogram.edges)
            assert np.array_equal(counts, expected)


def test_growth_merges_bins_exactly():
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(1000) * scale for scale in (0.01, 1.0, 100.0)]
    grown, whole = Histogram(), Histogram()
    for part in parts:
        grown.add(part)
    whole.add(np.concatenate(parts))
    assert grown.limit == whole.limit
    assert np.array_equal(grown.positive, whole.positive)
    assert np.array_equal(grown.negative, whole.negative)


def test_only_zeros():
    histogram = Histogram()
    histogram.add(np.zeros((2, 3)))
    assert (histogram.limit, histogram.zeros, histogram.count) == (0.0, 6, 6)


def test_memory_does_not_grow():
    histogram = Histogram()
    for exponent in range(0, 100, 10):
        histogram.add(np.array([2.0**exponent]))
    assert histogram.positive.shape == histogram.negative.shape == (BINS,)
    assert histogram.count == 10


def test_the_limit_lies_above_every_value():
    histogram = Histogram()
    histogram.add(np.array([4.0]))
    assert histogram.limit == 8.0
    assert histogram.positive[BINS // 2] == 1
    assert histogram.edges[BINS // 2] == 4.0
