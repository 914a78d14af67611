"""Weights as passes, each of which gives every weight one level of the engine's format."""

import numpy as np

from compiler.terms import fewest_passes, largest_exponent
from quant.errors import NoMulError
from quant.numbers import to_terms
from quant.weight_formats import WeightFormat
from rtl.architecture import Architecture
from rtl.isa import MAX_PASSES

__all__ = ["choose_passes"]


def choose_passes(
    architecture: Architecture, fmt: WeightFormat, name: str, weights: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """Left shifts of the fewest passes that make a layer's weights, and the weights of each.

    One pass where all weights are levels of ``fmt``, the format of the engine's lanes, shifted
    alike; else powers of two, a term a weight and pass.

    Returns shifts, and int64 ``[passes, *weights.shape]`` of levels.
    """
    size = np.abs(np.asarray(weights, np.int64))
    reach = 1 << architecture.pass_shift_bits
    for shift in range(reach):
        if np.isin(size, fmt.levels << shift).all():
            return [shift], (np.asarray(weights, np.int64) >> shift)[None]
    shifts = fewest_passes(weights, fmt.powers, reach)
    if shifts is None:
        raise NoMulError(
            f"layer {name}: a weight needs the term 2**{largest_exponent(weights)}, "
            f"{architecture.name} reaches 2**{fmt.powers - 1 + reach - 1}; use weights of a larger "
            f"format, raise pass_shift_bits, or quantize with fewer bits"
        )
    if len(shifts) > MAX_PASSES:
        raise NoMulError(
            f"layer {name}: weights with terms up to 2**{largest_exponent(weights)} "
            f"need {len(shifts)} passes, a machine has {MAX_PASSES}; use weights of a larger "
            f"format or quantize with fewer bits"
        )
    terms = to_terms(weights, [(shift, shift + fmt.powers - 1) for shift in shifts])
    assert terms is not None  # what fewest_passes promises
    return shifts, terms >> np.array(shifts).reshape(-1, *[1] * weights.ndim)
