"""Statistics of a tensor over a stream of batches, in bounded memory."""

import numpy as np

__all__ = ["BINS", "Histogram"]

BINS = 2048


class Histogram:
    """How often a tensor takes which values.

    ``BINS`` equal bins for each sign cover sizes from 0 to ``limit``, a power of two that doubles
    (neighbouring bins merge) whenever a value is not below it; exact zeros are counted apart.

    Attributes
    ----------
    low, high : float
        Smallest and largest value so far, 0 included.
    zeros : int
        Number of exact zeros.
    positive, negative : int64 (BINS,)
        Counts; bin ``i`` holds sizes from ``i * limit / BINS`` to below ``(i + 1) * limit / BINS``.
    limit : float
        End of the last bin; 0 while nothing but zeros has come.
    """

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0
        self.zeros = 0
        self.limit = 0.0
        self.positive = np.zeros(BINS, np.int64)
        self.negative = np.zeros(BINS, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count finite values of any shape."""
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        largest = max(self.high, -self.low)
        if largest >= self.limit and largest > 0:
            self._grow(float(np.ldexp(1.0, np.frexp(largest)[1])))
        if self.limit == 0:
            self.zeros += values.size
            return
        # One count bins both signs: the negative sizes first, then the positive ones.
        scaled = values.ravel() * np.float64(BINS / self.limit)
        index = np.abs(scaled).astype(np.int64)
        counts = np.bincount(index + BINS * (scaled > 0), minlength=2 * BINS)
        zeros = int(values.size - np.count_nonzero(values))
        counts[0] -= zeros
        self.zeros += zeros
        self.negative += counts[:BINS]
        self.positive += counts[BINS:]

    def _grow(self, limit: float) -> None:
        merge = int(min(limit / self.limit, BINS)) if self.limit else 1
        for name in ("positive", "negative"):
            merged = np.zeros(BINS, np.int64)
            np.add.at(merged, np.arange(BINS) // merge, getattr(self, name))
            setattr(self, name, merged)
        self.limit = float(limit)

    @property
    def signed(self) -> bool:
        """Whether a negative value has come."""
        return self.low < 0

    @property
    def count(self) -> int:
        """Number of values."""
        return self.zeros + int(self.positive.sum() + self.negative.sum())

    @property
    def edges(self) -> np.ndarray:
        """Borders of the bins of one sign, float64 (BINS + 1,)."""
        return np.arange(BINS + 1) * (self.limit / BINS)
