"""Proof that no sum of a layer leaves the accumulator, from its actual weights.

Accumulators and post-processing count modulo ``2**accumulator_bits``. Addition and shifts to the
left are exact in that ring, so parts of a sum, a folded sign's correction and the corrected bias
may all wrap: the result is right if, and only if, the whole sum ``Σ x * w + bias`` fits. Only that
is bounded here; a residual is added behind it, in a width of its own.
"""

import numpy as np

from quant.errors import NoMulError
from quant.graph import Shape
from quant.quantized import QConv, QMaxPool
from rtl.isa import LAYOUTS, SHIFT, Opcode

__all__ = [
    "Limits",
    "check_shift",
    "check_sum",
    "check_windows",
    "convolution_limits",
    "residual_shifts",
]

Limits = tuple[int, int]

RESIDUAL_REACH = (1 << LAYOUTS[Opcode.POST]["right"].width) - 1


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


def residual_shifts(name: str, shift: np.ndarray, residual_shift: np.ndarray) -> tuple[int, int]:
    """Left shift of a residual, and the right shift of its sum with ``t / 2**(shift - right)``.

    ``(t + (r << rs)) / 2**s = (t / 2**(s - right) + (r << left)) / 2**right``, where ``s - rs``,
    the fraction of the residual minus that of the output, is ``right - left``.

    Errors: :class:`NoMulError` where it differs between channels or no field holds it.
    """
    difference = np.unique(np.asarray(shift, np.int64) - residual_shift)
    if len(difference) > 1:
        raise NoMulError(
            f"layer {name}: the residual's shift against the output is {difference[0]} in one "
            f"channel and {difference[-1]} in another; quantize the network again"
        )
    by = int(difference[0])
    if abs(by) > RESIDUAL_REACH:
        raise NoMulError(
            f"layer {name}: the residual's fraction and the output's differ by {abs(by)}, a "
            f"machine shifts a residual by at most {RESIDUAL_REACH}; calibrate again, or bring the "
            f"residual to a fraction nearer to the output's"
        )
    return max(-by, 0), max(by, 0)


def convolution_limits(layer: QConv, source: Limits) -> Limits:
    """Smallest and largest sum over all outputs of a convolution, without its residual.

    ``source`` are the limits of the codes that it reads; 0, which padding reads, is always
    included.
    """
    weight = layer.weight.astype(np.int64).reshape(len(layer.weight), -1)
    positive, negative = np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)
    low, high = min(source[0], 0), max(source[1], 0)
    # Python integers: a bound must not wrap, whatever the layer holds.
    lows, highs = [], []
    for o, (up, down) in enumerate(zip(positive.tolist(), negative.tolist())):
        bias = int(layer.bias[o])
        lows.append(up * low + down * high + bias)
        highs.append(up * high + down * low + bias)
    return min(lows), max(highs)


def check_windows(layer: QMaxPool, source: Shape) -> None:
    """Refuse windows of padding alone, whose maximum a machine does not define.

    ``source`` is the shape of what it reads. Errors: :class:`NoMulError`.
    """
    window, (_, height, width) = layer.window, source
    for axis, (inputs, outputs) in enumerate(((height, layer.shape[1]), (width, layer.shape[2]))):
        first = np.arange(outputs) * window.stride[axis] - window.padding[axis]
        seen = first[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
        if not ((seen >= 0) & (seen < inputs)).any(axis=1).all():
            raise NoMulError(
                f"layer {layer.name}: a window of the maximum lies in the padding alone; use less "
                f"padding"
            )
