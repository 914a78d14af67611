"""Kullback-Leibler divergence of a tensor's values from what saturation and rounding leave."""

import numpy as np

from quant.histogram import Histogram

__all__ = ["divergence", "kl_threshold"]

FIRST = 128  # bins that the smallest threshold keeps
TRACE = 1e-4  # of a value, where there is none


def divergence(counts: np.ndarray, bins: int, levels: int) -> float:
    """KL(P || Q) where sizes beyond the first ``bins`` saturate, in nats.

    P are the bins kept, with all sizes beyond folded into the last. Q are the bins kept, without
    those beyond, merged to ``levels`` equal levels; each level is spread evenly over its bins that
    are not empty. An empty last bin to which sizes are folded has ``TRACE`` of a value in Q.

    Parameters
    ----------
    counts : int (bins of the histogram,)
        Of sizes, from 0.
    bins : int
        May be more than there are; the levels then reach beyond the largest size.
    levels : int

    >>> divergence(np.array([4, 4, 2, 2]), 4, 2)
    0.0
    >>> divergence(np.array([4, 4, 3, 1]), 4, 4) < divergence(np.array([4, 4, 3, 1]), 3, 4)
    True
    """
    kept = counts[:bins].astype(np.float64)
    level = np.arange(len(kept)) * min(levels, bins) // bins
    used = kept > 0
    shares = np.bincount(level, kept) / np.maximum(np.bincount(level, used), 1)
    p = kept
    p[-1] += counts[bins:].sum()
    some = p > 0
    if not some.any():
        return 0.0
    q = np.where(used, shares[level], TRACE)[some]
    p = p[some]
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
    largest = max(histogram.high, -histogram.low)
    filled = np.flatnonzero(counts)
    end = int(filled[-1]) + 1 if filled.size else 0
    candidates = range(FIRST, end + 1)
    if not candidates:
        return largest
    best = min(candidates, key=lambda bins: divergence(counts, bins, levels))
    return largest if best == end else (best + 0.5) * float(histogram.edges[1])
