"""Convolutions on ``vpe``: whole weights in one pass, wider ones as digits of several."""

from functools import partial

import numpy as np

from compiler.mapping.convolver import map_with, outline, timing, unfolding_of, ways
from quant.errors import NoMulError
from rtl.architecture import Architecture

__all__ = ["count_passes", "map_convolution", "outline", "timing", "unfolding_of", "ways"]


def passes(
    architecture: Architecture, name: str, weights: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """One pass where all weights fit; else the lowest digits in one and the rest in others.

    Errors: :class:`NoMulError` for weights whose digits are further apart than passes shift.
    """
    rest = np.asarray(weights, np.int64)
    bits, reach = architecture.engine_config.code_bits, 1 << architecture.pass_shift_bits
    half = 1 << bits - 1
    shifts, digits, shift = [], [], 0
    while rest.min(initial=0) < -half or rest.max(initial=0) >= half:
        # Signed digits, as many bits of them as a pass and the shift to the next one hold.
        width = min(bits, reach - 1 - shift)
        if width < 1:
            raise NoMulError(
                f"layer {name}: its weights are up to {np.abs(weights).max()}, passes of "
                f"{architecture.name} make less; use weights of more bits, raise pass_shift_bits "
                f"or quantize with fewer bits"
            )
        digit = (rest + (1 << width - 1) & (1 << width) - 1) - (1 << width - 1)
        if digit.any():
            shifts.append(shift)
            digits.append(digit)
        rest = rest - digit >> width
        shift += width
    return [*shifts, shift], np.stack([*digits, rest])


def count_passes(architecture: Architecture, name: str, weights: np.ndarray) -> int:
    """See :mod:`compiler.mapping`."""
    return len(passes(architecture, name, weights)[0])


map_convolution = partial(map_with, passes)
