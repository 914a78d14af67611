"""Kullback-Leibler divergence of a tensor's values from what saturation and rounding leave."""

import numpy as np

from quant.histogram import Histogram

__all__ = ["FIRST", "divergence", "kl_threshold", "spikes"]

FIRST = 128
"""Bins that the smallest threshold keeps: of a few bins any two distributions are alike."""

TRACE = 1e-4  # of a value, where there is none
NEIGHBOURS = 8  # bins on either side that a spike is compared with
SPIKE = 4  # times their mean


def spikes(counts: np.ndarray) -> np.ndarray:
    """What bins have beyond ``SPIKE`` times the mean of their neighbours: float64, like counts.

    These are single values that come again and again, such as what a layer makes of a background.
    Rounding moves them a little, but spreads them over nothing.

    >>> spikes(np.array([10] * 10 + [90] + [10] * 10))[9:12].tolist()
    [0.0, 50.0, 0.0]
    """
    window = np.ones(2 * NEIGHBOURS + 1)
    window[NEIGHBOURS] = 0
    near, number = (
        np.convolve(np.pad(values, NEIGHBOURS), window, "valid")
        for values in (counts, np.ones(len(counts)))
    )
    return np.maximum(counts - SPIKE * near / np.maximum(number, 1), 0)


def divergence(counts: np.ndarray, spikes: np.ndarray, bins: int, levels: int) -> float:
    """KL(P || Q) where sizes beyond the first ``bins`` saturate, in nats.

    P are the bins kept, with all sizes beyond folded into the last. Q are the bins kept, without
    those beyond, merged to ``levels`` equal levels; each level is spread evenly over its bins that
    are not empty, but for spikes, which stay. An empty last bin to which sizes are folded has
    ``TRACE`` of a value in Q.

    Parameters
    ----------
    counts : int (bins of the histogram,)
        Of sizes, from 0.
    spikes : float64 (bins of the histogram,)
        Which of these are spikes.
    bins : int
        May be more than there are; the levels then reach beyond the largest size.
    levels : int

    >>> none, counts = np.zeros(4), np.array([4, 4, 2, 2])
    >>> divergence(counts, none, 4, 2)
    0.0
    >>> round(divergence(counts, none, 3, 4), 4)
    0.0487
    """
    p = counts[:bins].astype(np.float64)
    smooth = p - spikes[:bins]
    level = np.arange(len(p)) * min(levels, bins) // bins
    used = smooth > 0
    shares = np.bincount(level, smooth) / np.maximum(np.bincount(level, used), 1)
    q = np.where(used, shares[level], 0.0) + spikes[:bins]
    p[-1] += counts[bins:].sum()
    some = p > 0
    if not some.any():
        return 0.0
    p, q = p[some], np.maximum(q[some], TRACE)
    return float((p * np.log(p / q)).sum() / p.sum() + np.log(q.sum() / p.sum()))


def kl_threshold(histogram: Histogram, levels: int) -> float:
    """The size above which values should saturate: that of least :func:`divergence`.

    Thresholds from ``FIRST`` bins on are tried, half a bin above each bin's beginning, and the
    largest size. Exact zeros are left out, as every format has them.

    >>> histogram = Histogram()
    >>> histogram.add(np.concatenate([np.linspace(0.001, 1, 100000), [50.0]]))
    >>> 4 < kl_threshold(histogram, 128) < 5
    True
    """
    counts = histogram.positive + histogram.negative
    single = spikes(counts)
    largest = max(histogram.high, -histogram.low)
    filled = np.flatnonzero(counts)
    end = int(filled[-1]) + 1 if filled.size else 0
    candidates = range(FIRST, end + 1)
    if not candidates:
        return largest
    best = min(candidates, key=lambda bins: divergence(counts, single, bins, levels))
    return largest if best == end else (best + 0.5) * float(histogram.edges[1])
