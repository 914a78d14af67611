"""KL divergence against its definition, bin by bin; thresholds of known distributions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.divergence import TRACE, divergence, kl_threshold, spikes
from quant.histogram import BINS, Histogram


def histogram_of(*values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(np.concatenate(values))
    return histogram


def by_definition(counts: list[int], single: list[float], bins: int, levels: int) -> float:
    p = [float(count) for count in counts[:bins]]
    outside = sum(counts[bins:])
    q = []
    for j in range(len(p)):
        same = [k for k in range(len(p)) if k * levels // bins == j * levels // bins]
        smooth = [p[k] - single[k] for k in same]
        share = sum(smooth) / max(sum(value > 0 for value in smooth), 1)
        q.append(single[j] + (share if p[j] - single[j] > 0 else 0.0))
    p[-1] += outside
    pairs = [(a, max(b, TRACE)) for a, b in zip(p, q, strict=True) if a > 0]
    total_p, total_q = (sum(side) for side in zip(*pairs, strict=True)) if pairs else (1.0, 1.0)
    return sum(a / total_p * math.log(a / total_p / (b / total_q)) for a, b in pairs)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 50), min_size=4, max_size=30), st.integers(1, 40), st.integers(1, 40)
)
def test_divergence_is_its_definition(counts, bins, levels):
    array = np.array(counts)
    single = np.minimum(spikes(array), array)
    expected = by_definition(counts, single.tolist(), bins, min(levels, bins))
    found = divergence(array, single, bins, levels)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found > -1e-9


def test_spikes_are_what_neighbours_do_not_have():
    counts = np.full(50, 20)
    counts[[7, 30]] = 1000, 70
    found = spikes(counts)
    assert found[7] == 1000 - 4 * 20 and not found[30]
    assert np.count_nonzero(found) == 1


def test_outliers_saturate():
    rng = np.random.default_rng(0)
    histogram = histogram_of(rng.standard_normal(100_000), np.full(3, 60.0))
    for levels in (8, 128):
        assert 2 < kl_threshold(histogram, levels) < 8
    # More levels lose less by rounding, so they reach further.
    assert kl_threshold(histogram, 8) <= kl_threshold(histogram, 128)


def test_a_uniform_tensor_keeps_its_range():
    histogram = histogram_of(np.random.default_rng(0).uniform(0, 10, 200_000))
    assert kl_threshold(histogram, 256) > 9.5


def test_a_repeated_value_does_not_move_the_threshold():
    values = np.abs(np.random.default_rng(0).standard_normal(100_000))
    plain, spiked = histogram_of(values), histogram_of(values, np.full(200_000, 0.31))
    assert kl_threshold(spiked, 256) == pytest.approx(kl_threshold(plain, 256), rel=0.25)
    zeros = histogram_of(values, np.zeros(500_000))
    assert kl_threshold(zeros, 256) == kl_threshold(plain, 256)


def test_few_bins_and_nothing_at_all():
    small = histogram_of(np.full(10, 0.01), np.full(10, -0.02))
    small._grow(64.0)
    assert kl_threshold(small, 128) == 0.02
    empty = histogram_of(np.zeros(5))
    assert kl_threshold(empty, 128) == 0.0
    assert divergence(np.zeros(BINS, np.int64), np.zeros(BINS), 128, 128) == 0.0
