"""Convolutions on ``conv5x5``: weights of one codebook in one pass, others in digits of several.

The codebook of a layer is what its integer weights are: where no more than three of them differ,
zero and a common shift left out, they are its values. Any other weights are digits to the base 4,
of which there are -1, 1 and 2 besides 0, so that each pass has two bits of every weight.
"""

from functools import partial

import numpy as np

from compiler.mapping import Timing
from compiler.mapping.gemm import map_with, outline_with, tile_timing, ways
from compiler.mapping.weights import Coding
from compiler.rewrite import unfolding_of
from compiler.settings import Run
from quant.errors import NoMulError
from rtl.architecture import Architecture
from rtl.codebook.multiples import CODE_BITS, VALUE_BITS, VALUES
from rtl.engines.conv5x5 import Conv5x5, Conv5x5Config
from rtl.isa import MAX_PASSES

__all__ = [
    "codebook_of",
    "coding",
    "count_passes",
    "map_convolution",
    "outline",
    "timing",
    "unfolding_of",
    "ways",
]

DIGITS = np.array([-1, 1, 2])
DIGIT_BITS = 2


def codebook_of(weights: np.ndarray, shifts: int) -> tuple[int, np.ndarray] | None:
    """Shift and nonzero values of weights that are those of one codebook, else None.

    ``shifts`` is how many shifts a pass can have, from 0.

    >>> codebook_of(np.array([-33, 0, 5, 29, 5]), 4)
    (0, array([-33,   5,  29]))
    >>> codebook_of(np.array([1024, -512]), 4)
    (3, array([-64, 128]))
    """
    values = np.unique(weights[weights != 0]).astype(np.int64)
    if len(values) > VALUES:
        return None
    half = 1 << VALUE_BITS - 1
    for shift in range(shifts):
        scaled = values >> shift
        if (scaled << shift != values).any():
            return None
        if scaled.min(initial=0) >= -half and scaled.max(initial=0) < half:
            return shift, scaled
    return None


def digits_of(
    architecture: Architecture, name: str, weights: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """Shifts of the passes that weights need as digits, and the digits of each.

    Errors: :class:`NoMulError` for digits that passes do not shift so far, and for too many.
    """
    rest, shift = np.asarray(weights, np.int64), 0
    shifts, parts = [], []
    while rest.any():
        digit = (rest + 1 & (1 << DIGIT_BITS) - 1) - 1
        if digit.any():
            shifts.append(shift)
            parts.append(digit)
        rest = rest - digit >> DIGIT_BITS
        shift += DIGIT_BITS
    if shifts[-1] >= 1 << architecture.pass_shift_bits or len(shifts) > MAX_PASSES:
        largest = int(np.abs(weights).max())
        raise NoMulError(
            f"layer {name}: its weights are up to {largest} and of more than {VALUES} nonzero "
            f"values, passes of {architecture.name} make less; quantize with a codebook of "
            f"{VALUES} values or fewer bits, or raise pass_shift_bits"
        )
    return shifts, np.stack(parts)


def coding(architecture: Architecture, name: str, weights: np.ndarray) -> Coding:
    """A layer's codebook and indices.

    Errors: :class:`NoMulError` for weights that no passes make.
    """
    found = codebook_of(weights, 1 << architecture.pass_shift_bits)
    if found:
        shift, values = found
        shifts, parts = [shift], np.asarray(weights, np.int64)[None] >> shift
    else:
        values = DIGITS
        shifts, parts = digits_of(architecture, name, weights)
    # Index 0 is the weight zero.
    book = np.concatenate([[0], values, np.zeros(VALUES - len(values), np.int64)])
    order = np.argsort(book[: len(values) + 1])
    pattern = (1 << VALUE_BITS) - 1

    def encode(part: np.ndarray) -> np.ndarray:
        return order[np.searchsorted(book[: len(values) + 1], part, sorter=order)]

    return Coding(
        shifts,
        parts,
        CODE_BITS,
        encode,
        partial(Conv5x5.excess, architecture.engine_config),
        architecture.activation_bits,
        {f"value_{v}": int(value) & pattern for v, value in enumerate(book[1:])},
    )


def count_passes(architecture: Architecture, name: str, weights: np.ndarray) -> int:
    """See :mod:`compiler.mapping`."""
    return len(coding(architecture, name, weights).shifts)


def timing(config: Conv5x5Config, run: Run) -> Timing:
    """See :mod:`compiler.mapping`: a tile of weights is loaded while the one before it works."""
    settings = run.engine_settings(Conv5x5.Settings)
    return tile_timing(config, settings["last_vector"] + 1, 1 << settings["split"])


map_convolution = partial(map_with, coding)
outline = partial(outline_with, {f"value_{v}": 0 for v in range(VALUES)})
