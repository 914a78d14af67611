"""Calibration methods against direct search over the values themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.calibrate import SAMPLE_IMAGES, find_method, kl, min_max, mse, observe, percentile
from quant.errors import NoMulError
from quant.graph import Clip, Graph
from quant.histogram import Histogram
from quant.numbers import Format, dequantize, quantize


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def squared_error(values: np.ndarray, fmt: Format) -> float:
    return float(((dequantize(quantize(values, fmt), fmt.fraction) - values) ** 2).sum())


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1).map(np.array),
    st.sampled_from([4, 8, 16]),
)
def test_min_max_is_the_finest_that_holds_all(values, bits):
    if not np.abs(values).max() > 1e-30:
        return
    histogram = histogram_of(values)
    fraction = min_max(histogram, bits)
    for finer, holds in ((0, True), (1, False)):
        fmt = Format(bits, histogram.signed, fraction + finer)
        assert fmt.holds(np.rint(np.ldexp(values, fmt.fraction))) == holds


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from(["normal", "laplace", "standard_cauchy", "uniform"]),
    st.booleans(),
    st.sampled_from([4, 6, 8]),
)
def test_mse_is_near_the_best_fraction(seed, distribution, positive, bits):
    values = getattr(np.random.default_rng(seed), distribution)(size=5000)
    values = np.clip(np.abs(values) if positive else values, -50, 50)
    histogram = histogram_of(values)
    found = squared_error(values, Format(bits, histogram.signed, mse(histogram, bits)))
    start = min_max(histogram, bits)
    best = min(
        squared_error(values, Format(bits, histogram.signed, start + finer)) for finer in range(9)
    )
    assert found <= 1.05 * best


def test_percentile_leaves_out_outliers():
    values = np.concatenate([np.linspace(0, 1, 9999), [100.0]])
    histogram = histogram_of(values)
    assert min_max(histogram, 8) == 1
    # The bins are 1/16 wide here, so the share is exact to that.
    assert percentile(histogram, 8, 99.9) in (7, 8)
    assert percentile(histogram, 8, 100.0) == 1
    assert find_method("percentile99.9")(histogram, 8) == percentile(histogram, 8, 99.9)
    assert find_method("percentile")(histogram, 8) == percentile(histogram, 8, 99.99)


def test_kl_leaves_out_outliers_but_not_of_wide_codes():
    rng = np.random.default_rng(0)
    for sign, bits in ((1, 8), (-1, 7)):
        values = np.concatenate([np.abs(rng.standard_normal(50_000)), [60.0, 0.5 * sign]])
        histogram = histogram_of(values)
        assert min_max(histogram, 8) == bits - 6
        assert bits - 3 <= kl(histogram, 8) <= bits - 2
        # One bit is left for what other images may have.
        assert kl(histogram, 16) == min_max(histogram, 16) - 1


@pytest.mark.parametrize("method", [min_max, percentile, mse])
def test_a_tensor_of_zeros(method):
    assert method(histogram_of(np.zeros(5)), 8) == 0


def test_raw_pixels_keep_their_codes():
    pixels = np.random.default_rng(0).integers(0, 256, 10000)
    for name in ("min-max", "mse", "percentile", "kl"):
        assert find_method(name)(histogram_of(pixels), 8) == 0


def test_impossible_percentiles_are_refused():
    for share in ("0", "100.5"):
        with pytest.raises(NoMulError, match=f"percentile{share} asks for"):
            find_method(f"percentile{share}")


def test_observations():
    shape = (2, 4, 4)
    graph = Graph("net", "x", shape, (Clip("y", ("x",), shape, 0.0, 1.0),), "y")
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((300, *shape)).astype(np.float32) for _ in range(3)]
    observed = observe(graph, iter(batches))
    everything = np.concatenate(batches)
    assert observed.histograms["x"].count == everything.size
    assert not observed.histograms["y"].signed
    assert observed.histograms["y"].high == 1.0
    assert np.array_equal(observed.sample, everything[:SAMPLE_IMAGES])
