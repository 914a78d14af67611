"""Search of one power-of-two weight scale per output channel."""

from collections.abc import Callable

import numpy as np

from quant.graph import Conv
from quant.schemes import LayerInputs

__all__ = ["search_fractions"]

FINER_OCTAVES = 3  # beyond this the clipped weights dominate the error


def search_fractions(
    conv: Conv,
    inputs: LayerInputs,
    largest: int,
    nearest: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and fractions of least output error, channel by channel.

    The error of a channel is ``sum(E[x**2] * (code * 2**-f - weight)**2)``: what the weights'
    errors add to the output's variance if inputs are uncorrelated. Fractions from the finest
    that saturates nothing, less 1, up to ``FINER_OCTAVES`` above it are tried.

    Parameters
    ----------
    conv : Conv
    inputs : LayerInputs
    largest : int
        Largest code.
    nearest : function
        Nearest codes, int64, of weights in units of the step, float64.
    """
    outputs = conv.weight.shape[0]
    weight = conv.weight.astype(np.float64)
    moments = inputs.second_moments().reshape(conv.groups, -1)
    importance = np.repeat(moments, outputs // conv.groups, axis=0)[:, :, None, None]
    # A layer that never sees anything but zeros still gets weights of least squared error.
    importance = np.where(importance.sum(axis=1, keepdims=True) > 0, importance, 1.0)
    peak = np.abs(weight).reshape(outputs, -1).max(axis=1)
    start = np.floor(np.log2(largest / np.where(peak > 0, peak, 1.0))).astype(np.int64)

    best = np.full(outputs, np.inf)
    codes = np.zeros(weight.shape, np.int64)
    fractions = start.copy()
    for fraction in (start + offset for offset in range(-1, FINER_OCTAVES + 1)):
        step = fraction[:, None, None, None]
        tried = nearest(np.ldexp(weight, step))
        error = (importance * (np.ldexp(tried.astype(np.float64), -step) - weight) ** 2).sum(
            axis=(1, 2, 3)
        )
        better = error < best
        best = np.where(better, error, best)
        codes[better] = tried[better]
        fractions = np.where(better, fraction, fractions)
    return codes.astype(np.int32), fractions.astype(np.int32)
