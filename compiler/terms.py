"""Passes: the fewest shifts with which one term a weight and pass makes every weight."""

import numpy as np

from quant.numbers import canonical_digits

__all__ = ["fewest_passes", "largest_exponent"]


def largest_exponent(weights: np.ndarray) -> int:
    """Largest exponent among the canonical digits of the weights; -1 where all are zero."""
    used = canonical_digits(weights).any(axis=tuple(range(np.ndim(weights))))
    return int(np.flatnonzero(used).max(initial=-1))


def fewest_passes(weights: np.ndarray, exponents: int, shifts: int) -> list[int] | None:
    """Left shifts of the fewest passes that make all weights from canonical digits.

    A pass with shift ``s`` offers each weight one term with an exponent in
    ``s .. s + exponents - 1``. By Hall's theorem the passes suffice if and only if, for all
    ``i <= j``, at least as many of them have a shift in ``i - exponents + 1 .. j`` as a weight has
    digits in ``i .. j``. These are demands on intervals, which are met with fewest points by
    taking them in the order of their ends and adding points as far right as allowed.

    Parameters
    ----------
    weights : ndarray of int
    exponents : int
        Exponents that a term can have, from 0.
    shifts : int
        A pass shifts by 0 .. shifts - 1.

    Returns
    -------
    list of int, ascending, at least one; None where an exponent is out of reach.

    >>> fewest_passes(np.array([85, -128, 7]), 7, 8)
    [0, 2, 4, 6]
    >>> fewest_passes(np.array([64, -1, 0]), 7, 8)
    [0]
    >>> fewest_passes(np.array([128]), 7, 1) is None
    True
    """
    weights = np.unique(np.abs(np.asarray(weights, np.int64)))
    digits = canonical_digits(weights) != 0
    count = np.concatenate([np.zeros((len(weights), 1), np.int64), digits.cumsum(axis=1)], axis=1)
    chosen: list[int] = []
    for j in range(digits.shape[1]):
        for i in range(j, -1, -1):
            demand = int((count[:, j + 1] - count[:, i]).max(initial=0))
            low, high = i - exponents + 1, min(j, shifts - 1)
            have = sum(low <= shift <= high for shift in chosen)
            if have < demand and low > high:
                return None
            chosen += [high] * (demand - have)
    return sorted(chosen) or [0]
