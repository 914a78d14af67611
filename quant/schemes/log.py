"""Logarithmic weights: one signed power of two, or a sum of two."""

import numpy as np

from quant.graph import Conv
from quant.numbers import canonical_digits
from quant.schemes import LayerInputs, Scheme
from quant.schemes.scales import search_fractions

__all__ = ["Log", "levels"]


class Log(Scheme):
    """``log<b>``: 0 and ±2**0 .. ±2**(2**(b-1) - 2); ``log<b>x2``: sums of two of these.

    Weights are rounded to the nearest value, with one power-of-two scale per output channel.
    """

    pattern = r"log(?P<bits>[2-6](?!x)|[3-6](?=x))(x(?P<terms>2))?"
    usage = "log<b> (b = 2..6), log<b>x2 (b = 3..6)"

    def __init__(self, name: str, bits: str, terms: str = "1") -> None:
        super().__init__(name)
        self.bits = int(bits)
        self.terms = int(terms)
        self.levels = levels(self.bits, self.terms)

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        return search_fractions(conv, inputs, int(self.levels[-1]), self.nearest)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """Code nearest in value; of two equally near ones the smaller.

        >>> Log("log4", "4").nearest(np.array([0.5, 0.6, -2.9, 3.1, 100.0])).tolist()
        [0, 1, -2, 4, 64]
        """
        bounds = (self.levels[1:] + self.levels[:-1]) / 2
        size = self.levels[np.searchsorted(bounds, np.abs(x))]
        return np.where(x < 0, -size, size)


def levels(bits: int, terms: int) -> np.ndarray:
    """Sizes that a weight can have, ascending from 0, int64.

    With two terms these are the sums and differences of two powers whose canonical digits are
    again within the exponents of one term, because lanes are dealt canonical digits: 96 = 64 + 32
    is no level of ``log4x2``, as its digits are 128 - 32.

    >>> levels(3, 1).tolist()
    [0, 1, 2, 4]
    >>> levels(3, 2).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    powers = np.int64(1) << np.arange((1 << (bits - 1)) - 1)
    one = np.concatenate([[0], powers])
    if terms == 1:
        return one
    sums = np.unique(np.abs(np.add.outer(one, np.concatenate([-powers, one]))))
    outside = canonical_digits(sums)[:, len(powers) :].any(axis=-1)
    return sums[~outside]
