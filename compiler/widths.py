"""Proof that no sum of a layer leaves the accumulator, from its actual weights.

Accumulators and post-processing count modulo ``2**accumulator_bits``. Addition and shifts to the
left are exact in that ring, so parts of a sum, a folded sign's correction and the corrected bias
may all wrap: the result is right if, and only if, the whole sum ``Σ x * w + bias + (residual <<
residual_shift)`` fits. Only that is bounded here.
"""

import numpy as np

from quant.errors import NoMulError
from quant.quantized import QConv
from rtl.isa import SHIFT

__all__ = ["Limits", "check_shift", "check_sum", "convolution_limits"]

Limits = tuple[int, int]


def check_sum(name: str, limits: Limits, bits: int) -> None:
    """Refuse a layer whose sums can leave ``bits``. Errors: :class:`NoMulError`."""
    low, high = limits
    if low < -(1 << bits - 1) or high >= 1 << bits - 1:
        need = max(int(high).bit_length(), int(-low - 1).bit_length()) + 1
        raise NoMulError(
            f"layer {name}: sums reach {low} .. {high}, which takes {need} bits, the accumulators "
            f"have {bits}; raise accumulator_bits, or quantize with fewer bits"
        )


def check_shift(name: str, what: str, shift: int) -> None:
    """Refuse a shift that no instruction holds. Errors: :class:`NoMulError`."""
    largest = (1 << SHIFT.width) - 1
    if not 0 <= shift <= largest:
        raise NoMulError(
            f"layer {name}: a {what} of {shift} is outside 0 .. {largest}; calibrate again, the "
            f"scales of its tensors lie too far apart"
        )


def convolution_limits(layer: QConv, source: Limits, residual: Limits | None) -> Limits:
    """Smallest and largest sum over all outputs of a convolution.

    ``source`` and ``residual`` are the limits of the codes that it reads; 0, which padding reads,
    is always included.
    """
    weight = layer.weight.astype(np.int64).reshape(len(layer.weight), -1)
    positive, negative = np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)
    low, high = min(source[0], 0), max(source[1], 0)
    # Python integers: a bound must not wrap, whatever the layer holds.
    lows, highs = [], []
    for o, (up, down) in enumerate(zip(positive.tolist(), negative.tolist())):
        bias = int(layer.bias[o])
        shift = int(layer.residual_shift[o])
        r_low, r_high = residual or (0, 0)
        lows.append(up * low + down * high + bias + (r_low << shift))
        highs.append(up * high + down * low + bias + (r_high << shift))
    return min(lows), max(highs)
