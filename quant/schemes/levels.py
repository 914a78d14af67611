"""Weights of few sizes: the weight formats of lanes, logarithms with 1.5, sums of two powers."""

from functools import partial

import numpy as np

from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.numbers import canonical_digits
from quant.schemes import Activations, Scheme
from quant.schemes.rounding import round_weights
from quant.weight_formats import FORMATS, WeightFormat, weight_format

__all__ = ["OneFormat", "TwoPasses", "logarithmic", "nearest", "sums_of_two"]


def logarithmic(bits: int, octaves: int, finer: int) -> WeightFormat:
    """``log<bits>``: 0, ``octaves`` powers of two, and 1.5 times the ``finer`` below the largest.

    Errors: ``ValueError`` for sizes that the codes cannot hold.

    >>> logarithmic(4, 6, 1).levels.tolist()
    [0, 1, 2, 4, 8, 16, 24, 32]
    """
    powers = [1 << k for k in range(octaves)]
    sizes = [0, *powers, *(3 * power // 2 for power in powers[-1 - finer : -1])]
    codes = 1 << bits - 1
    if not 0 <= finer < octaves - 1 or len(sizes) > codes:
        raise ValueError(
            f"{len(sizes)} sizes, {finer} of them between {octaves} powers, are no {bits}-bit codes"
        )
    return WeightFormat(f"log{bits}", tuple(sizes + [0] * (codes - len(sizes))))


# What no engine's lanes are built for; their integers run as terms in several passes.
MORE = {fmt.name: fmt for fmt in (logarithmic(6, 16, 14),)}


class OneFormat(Scheme):
    """Weights that are levels of a weight format, a power-of-two scale a channel.

    A machine whose lanes are built for the format applies them in one pass. Behind ``+`` the
    layer that makes the network's output, and behind ``++`` also those that read its input, are
    sums of two powers, in two passes: they are small, and their errors weigh most.

    Attributes
    ----------
    levels : int64
        Sizes of a weight, ascending from 0.
    fine : int64
        Those of a layer in two passes.
    """

    pattern = rf"(?P<table>{'|'.join([*FORMATS, *MORE])})(?P<ends>\+{{1,2}})?"
    usage = f"{', '.join(sorted([*FORMATS, *MORE]))}, with + or ++ for two passes at the ends"

    def __init__(self, name: str, activations: Activations, table: str, ends: str = "") -> None:
        super().__init__(name, activations)
        fmt = MORE.get(table) or weight_format(table)
        self.levels = fmt.levels
        self.fine = sums_of_two(fmt.powers)
        self.ends = ends

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        ends = (inputs.last and self.ends != "") or (inputs.first and self.ends == "++")
        return round_to_levels(conv, inputs, self.fine if ends else self.levels)


class TwoPasses(Scheme):
    """``<format>x2``: sums of two powers, which a machine of that format applies in two passes.

    Attributes
    ----------
    levels : int64
        Sizes of a weight, ascending from 0.
    """

    pattern = r"(?P<table>w3|w4r|w4)x2"
    usage = "w3x2, w4rx2, w4x2"

    def __init__(self, name: str, activations: Activations, table: str) -> None:
        super().__init__(name, activations)
        self.levels = sums_of_two(weight_format(table).powers)

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        return round_to_levels(conv, inputs, self.levels)


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
