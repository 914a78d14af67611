"""A few values and 0 for the weights of a layer, found by Lloyd's iteration.

S. P. Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28(2),
1982; here one of the values is fixed at 0.
"""

import numpy as np

from quant.codebooks import WORD_BITS

__all__ = ["codebook", "fit_values", "nearest_code"]

LARGEST = (1 << (WORD_BITS - 1)) - 1
SWEEPS = 100  # at most


def fit_values(weight: np.ndarray, power: np.ndarray, count: int) -> np.ndarray:
    """Values beside 0, ascending, at most ``count``, of small error ``sum(power * (w - v)**2)``.

    Lloyd's iteration with one value fixed at 0, from quantiles of both signs; an odd value is tried
    on either side. ``weight`` and ``power`` (not negative) have the same shape.

    >>> fit_values(np.array([-3.1, -2.9, 0.0, 0.1, 0.9, 1.1, 4.0]), np.ones(7), 3).round(6).tolist()
    [-3.0, 1.0, 4.0]
    """
    x, p = weight.ravel(), power.ravel()
    order = np.argsort(x, kind="stable")
    x, p = x[order], p[order]
    # Sums over any interval of sorted weights are differences of these.
    sums = [np.concatenate([[0.0], np.cumsum(p * x**k)]) for k in range(3)]
    best: tuple[float, np.ndarray] = (np.inf, np.empty(0))
    for below in {count // 2, count - count // 2}:
        values = _iterate(x, sums, _quantiles(x, below, count - below))
        error = _error(x, sums, values)
        if error < best[0]:
            best = error, values
    return best[1][best[1] != 0]


def _quantiles(x: np.ndarray, below: int, above: int) -> np.ndarray:
    """Values of 0 and so many on each side, ascending."""
    values = [np.zeros(1)]
    for side, wanted in ((x[x < 0], below), (x[x > 0], above)):
        if wanted and len(side):
            sizes = np.quantile(np.abs(side), (np.arange(wanted) + 1) / (wanted + 0.5))
            values.append(np.sign(side[0]) * sizes)
    return np.unique(np.concatenate(values))


def _cuts(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value's weights begin and end."""
    inner = np.searchsorted(x, (values[1:] + values[:-1]) / 2)
    return np.concatenate([[0], inner, [len(x)]])


def _iterate(x: np.ndarray, sums: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    for _ in range(SWEEPS):
        cuts = _cuts(x, values)
        mass, total = (np.diff(part[cuts]) for part in sums[:2])
        mean = np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), values)
        moved = np.where(values == 0, 0.0, mean)
        if np.array_equal(moved, values):
            break
        values = moved
    return values


def _error(x: np.ndarray, sums: list[np.ndarray], values: np.ndarray) -> float:
    mass, first, second = (np.diff(part[_cuts(x, values)]) for part in sums)
    return float((second - 2 * values * first + values**2 * mass).sum())


def codebook(values: np.ndarray) -> np.ndarray:
    """Codes ascending with 0, int64: values times a power of two, the largest above 63.

    >>> codebook(np.array([-3.0, 1.0, 3.9])).tolist()
    [-96, 0, 32, 125]
    """
    peak = np.abs(values).max(initial=0.0)
    if not peak:
        return np.zeros(1, np.int64)
    shift = int(np.floor(np.log2(LARGEST / peak)))
    return np.unique(np.append(np.rint(np.ldexp(values, shift)).astype(np.int64), 0))


def nearest_code(book: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The code nearest in value; of two equally near ones the larger.

    >>> nearest_code(np.array([-4, 0, 2]), np.array([-9.0, -2.1, 0.9, 1.0])).tolist()
    [-4, -4, 0, 2]
    """
    return book[np.searchsorted((book[1:] + book[:-1]) / 2, x, side="right")]
