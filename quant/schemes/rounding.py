"""Rounding of weights to a set of codes, so that the layer's output errs least.

The error of an output channel is ``E[(sum(w x) - sum(v q))**2]``: ``w`` are the float weights,
``x`` the float inputs, ``v = code * 2**-fraction`` and ``q`` the inputs of the quantized network.
It is a quadratic form in ``v``, given by second moments of the inputs on calibration images.
"""

from collections.abc import Callable
from copy import copy
from itertools import pairwise

import numpy as np

from quant.graph import Conv
from quant.layer_inputs import LayerInputs

__all__ = ["Nearest", "Rounding", "round_weights"]

FINER_OCTAVES = 3  # beyond this the clipped weights dominate the error
PART = 1024  # inputs that are rounded together; moments of a part fit 8 MiB
RIDGE = 0.03  # weight of the plain weight error, in mean input powers: keeps few images honest
SWEEPS = 4

Nearest = Callable[[np.ndarray], np.ndarray]


def round_weights(
    conv: Conv, inputs: LayerInputs, largest: int | np.ndarray, nearest: Nearest
) -> tuple[np.ndarray, np.ndarray]:
    """Weight codes, int32 (of the weight's shape), and fractions, int32 (outputs,).

    As of :meth:`Rounding.compensated`, for the moments of these inputs.
    """
    return Rounding(conv, inputs).compensated(largest, nearest)


class Rounding:
    """Roundings of one convolution's weights, by the moments of its inputs, taken once.

    Parameters
    ----------
    conv : Conv
    inputs : LayerInputs
    """

    def __init__(self, conv: Conv, inputs: LayerInputs) -> None:
        groups = conv.groups
        self.shape = conv.weight.shape
        self.weight = conv.weight.astype(np.float64).reshape(groups, conv.shape[0] // groups, -1)
        size = self.weight.shape[2]
        cuts = np.linspace(0, size, -(-size // PART) + 1).astype(int)
        self.parts = [slice(int(a), int(b)) for a, b in pairwise(cuts)]
        self.moments = [inputs.moments(conv, part) for part in self.parts]
        power = np.concatenate(
            [np.diagonal(qq, axis1=1, axis2=2) for qq, _ in self.moments], axis=1
        )
        # Where all inputs are always zero, what is left is the error of the weights themselves.
        mean = power.mean(axis=1, keepdims=True)
        self.ridge = np.where(mean > 0, RIDGE * mean, 1.0)
        self.power = power + self.ridge

    def repeated(self, times: int) -> "Rounding":
        """The same where each group's outputs come so often, one set after another."""
        result = copy(self)
        result.weight = np.tile(self.weight, (1, times, 1))
        result.shape = (times * self.shape[0], *self.shape[1:])
        return result

    def compensated(
        self, largest: int | np.ndarray, nearest: Nearest
    ) -> tuple[np.ndarray, np.ndarray]:
        """Codes, int32 (of the weight's shape), and fractions, int32 (outputs,), that err least.

        A channel's fraction is the one of least error ``sum(E[q**2] * (v - w)**2)`` under nearest
        rounding, tried from the finest that saturates nothing, less 1, to ``FINER_OCTAVES`` above
        it. Then a channel's weights are rounded one after another; the rest makes up for each error
        (as GPTQ does, Frantar et al., ICLR 2023). Last they are visited again, ``SWEEPS`` times
        over, and each moves to the code that is best given all others (coordinate descent).

        Parameters
        ----------
        largest : int, or int array (outputs,)
            Largest code, of all channels or of each.
        nearest : function
            Nearest codes, int64, of weights in units of the step, float64; called with arrays of
            the shape (groups, outputs of a group), or this and inputs behind.
        """
        fraction = self.fractions(largest, nearest)
        codes = np.empty(self.weight.shape, np.int64)
        for part, (qq, xq) in zip(self.parts, self.moments, strict=True):
            w = self.weight[:, :, part]
            plain = self.ridge[:, :, None] * np.eye(w.shape[2])
            qq, xq = qq + plain, xq + plain
            start = _feed_back(w, fraction, qq, xq, nearest)
            values = _descend(start, w, fraction, qq, xq, nearest)
            codes[:, :, part] = np.rint(np.ldexp(values, fraction)).astype(np.int64)
        return self._result(codes, fraction)

    def plain(self, largest: int | np.ndarray, nearest: Nearest) -> tuple[np.ndarray, np.ndarray]:
        """Each weight to the nearest code, with fractions as of :meth:`compensated`."""
        fraction = self.fractions(largest, nearest)
        return self._result(nearest(np.ldexp(self.weight, fraction)), fraction)

    def fractions(self, largest: int | np.ndarray, nearest: Nearest) -> np.ndarray:
        """The fraction of each channel as of :meth:`compensated`, int64 (groups, outputs, 1)."""
        each = np.broadcast_to(largest, self.shape[:1]).reshape(self.weight.shape[:2])
        return _search_fractions(self.weight, self.power, each, nearest)[..., None]

    def _result(self, codes: np.ndarray, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return codes.reshape(self.shape).astype(np.int32), fraction.reshape(-1).astype(np.int32)


def _search_fractions(
    weight: np.ndarray, power: np.ndarray, largest: np.ndarray, nearest: Nearest
) -> np.ndarray:
    """Fraction of each channel, int64 (groups, outputs of a group)."""
    peak = np.abs(weight).max(axis=2)
    start = np.floor(np.log2(largest / np.where(peak > 0, peak, 1.0))).astype(np.int64)
    candidates = np.stack([start + offset for offset in range(-1, FINER_OCTAVES + 1)])
    errors = [
        (power[:, None] * (_rounded(weight, f[..., None], nearest) - weight) ** 2).sum(axis=2)
        for f in candidates
    ]
    best = np.argmin(errors, axis=0)
    return np.take_along_axis(candidates, best[None], axis=0)[0]


def _rounded(weight: np.ndarray, fraction: np.ndarray, nearest: Nearest) -> np.ndarray:
    return np.ldexp(nearest(np.ldexp(weight, fraction)).astype(np.float64), -fraction)


def _feed_back(
    w: np.ndarray, fraction: np.ndarray, qq: np.ndarray, xq: np.ndarray, nearest: Nearest
) -> np.ndarray:
    """Values rounded one after another from the best real weights, (groups, outputs, inputs).

    With ``U' U`` the Cholesky form of the inverse of ``qq``, the weights after ``k`` that are best
    given an error of weight ``k`` move by ``-error * U[k, k + 1 :] / U[k, k]``.
    """
    best = np.linalg.solve(qq, (w @ xq).transpose(0, 2, 1)).transpose(0, 2, 1)
    upper = np.linalg.cholesky(np.linalg.inv(qq)).transpose(0, 2, 1)
    v = np.empty_like(best)
    for k in range(best.shape[2]):
        v[:, :, k] = _rounded(best[:, :, k], fraction[..., 0], nearest)
        error = (best[:, :, k] - v[:, :, k]) / upper[:, None, k, k]
        best[:, :, k + 1 :] -= error[..., None] * upper[:, None, k, k + 1 :]
    return v


def _descend(
    start: np.ndarray,
    w: np.ndarray,
    fraction: np.ndarray,
    qq: np.ndarray,
    xq: np.ndarray,
    nearest: Nearest,
) -> np.ndarray:
    """Values by coordinate descent on ``v qq v' - 2 w xq v'`` from ``start``."""
    v = start.copy()
    slope = v @ qq - w @ xq
    for _ in range(SWEEPS):
        moved = False
        for k in range(w.shape[2]):
            wish = v[:, :, k] - slope[:, :, k] / qq[:, None, k, k]
            change = _rounded(wish, fraction[..., 0], nearest) - v[:, :, k]
            if change.any():
                moved = True
                v[:, :, k] += change
                slope += change[..., None] * qq[:, None, k]
        if not moved:
            break
    return v
