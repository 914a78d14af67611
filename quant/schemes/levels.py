"""Weights of few sizes: those of weight formats, and sums of two powers."""

from functools import partial

import numpy as np

from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.numbers import canonical_digits
from quant.schemes import Activations, Scheme
from quant.schemes.rounding import round_weights
from quant.weight_formats import FORMATS, WeightFormat

__all__ = ["KNOWN", "OneFormat", "TwoPasses", "nearest", "sums_of_two"]


# What no engine's lanes are built for; its integers run as terms in several passes.
LOG6 = WeightFormat("log6", (0, *(1 << k for k in range(16)), *(3 << k for k in range(15))))
KNOWN = FORMATS | {LOG6.name: LOG6}


class OneFormat(Scheme):
    """Weights that are levels of a weight format, in one pass of a machine built for it.

    Attributes
    ----------
    levels : int64
        Sizes of a weight, ascending from 0.
    """

    pattern = f"(?P<table>{'|'.join(KNOWN)})"
    usage = ", ".join(sorted(KNOWN))

    def __init__(self, name: str, activations: Activations, table: str) -> None:
        super().__init__(name, activations)
        self.levels = KNOWN[table].levels

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        return round_to_levels(conv, inputs, self.levels)


class TwoPasses(Scheme):
    """Sums of two powers of a format, which a machine built for it applies in two passes.

    ``<format>x2`` are all layers, ``<format>+`` those that make the network's output, and
    ``<format>++`` these and those that read its input: they are small, and their errors weigh
    most. The other layers are in one pass.

    Attributes
    ----------
    levels, fine : int64
        Sizes of a weight in one pass and in two, ascending from 0.
    """

    pattern = r"(?P<table>w3|w4r|w4)(?P<where>x2|\+{1,2})"
    usage = (
        "w3x2, w4rx2, w4x2 (two passes), w3+, w4r+, w4+ (at the output), w3++ ... (at both ends)"
    )

    def __init__(self, name: str, activations: Activations, table: str, where: str) -> None:
        super().__init__(name, activations)
        self.levels = FORMATS[table].levels
        self.fine = sums_of_two(FORMATS[table].powers)
        self.where = where

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        twice = self.where == "x2" or inputs.last or (inputs.first and self.where == "++")
        return round_to_levels(conv, inputs, self.fine if twice else self.levels)


def round_to_levels(
    conv: Conv, inputs: LayerInputs, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight codes of these sizes and fractions, as :func:`round_weights` finds them."""
    return round_weights(conv, inputs, int(levels[-1]), partial(nearest, levels))


def nearest(levels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Code nearest in value; of two equally near ones the smaller.

    >>> nearest(np.array([0, 1, 2, 4]), np.array([0.5, 0.6, -2.9, 3.1, 100.0])).tolist()
    [0, 1, -2, 4, 4]
    """
    bounds = (levels[1:] + levels[:-1]) / 2
    size = levels[np.searchsorted(bounds, np.abs(x))]
    return np.where(x < 0, -size, size)


def sums_of_two(count: int) -> np.ndarray:
    """Sizes, ascending from 0, of sums and differences of two of ``1 .. 2**(count - 1)``: int64.

    Only those whose canonical digits are again within these exponents, because passes are dealt
    canonical digits: 96 = 64 + 32 is none of seven powers', as its digits are 128 - 32.

    >>> sums_of_two(3).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    powers = np.int64(1) << np.arange(count)
    one = np.concatenate([[0], powers])
    sums = np.unique(np.abs(np.add.outer(one, np.concatenate([-powers, one]))))
    return sums[~canonical_digits(sums)[:, count:].any(axis=-1)]
