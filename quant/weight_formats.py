"""Weight formats: the sizes a weight can have, and the code of each, for quantizer and hardware.

A format is a table of sizes, so a scheme that rounds to one of these formats runs in one pass on
an engine whose lanes are built for it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quant.errors import NoMulError

__all__ = ["FORMATS", "WeightFormat", "weight_format"]


@dataclass(frozen=True)
class WeightFormat:
    """Codes of a weight: a sign bit above the code of its size.

    Parameters
    ----------
    name : str
    magnitudes : tuple of int
        Size of each code: a power of two of them, in the order that makes a lane cheapest. 0 may
        have several codes.
    """

    name: str
    magnitudes: tuple[int, ...]

    @property
    def bits(self) -> int:
        """Width of a code, sign included."""
        return (len(self.magnitudes) - 1).bit_length() + 1

    @cached_property
    def levels(self) -> np.ndarray:
        """Sizes in ascending order, from 0: int64."""
        return np.unique(np.array(self.magnitudes, np.int64))

    @property
    def powers(self) -> int:
        """Consecutive powers of two ``1 .. 2**(powers - 1)`` among the levels."""
        count = 0
        while 1 << count in self.magnitudes:
            count += 1
        return count

    def encode(self, weights: np.ndarray) -> np.ndarray:
        """Codes of integer weights: int64 of the same shape. Zero has no sign.

        Errors: ``ValueError`` for a weight that is no level.

        >>> weight_format("w3").encode(np.array([0, 1, -4])).tolist()
        [0, 1, 7]
        """
        weights = np.asarray(weights, np.int64)
        size = np.abs(weights)
        place = np.minimum(np.searchsorted(self.levels, size), len(self.levels) - 1)
        if (self.levels[place] != size).any():
            wrong = weights[self.levels[place] != size].flat[0]
            raise ValueError(f"{wrong} is no level of {self.name}")
        codes = np.array([self.magnitudes.index(level) for level in self.levels.tolist()])
        return codes[place] | (weights < 0).astype(np.int64) << self.bits - 1

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`encode`: int64.

        >>> weight_format("w3").decode(np.array([0, 1, 7, 4])).tolist()
        [0, 1, -4, 0]
        """
        codes = np.asarray(codes, np.int64)
        sign = 1 - 2 * (codes >> self.bits - 1)
        return sign * np.array(self.magnitudes, np.int64)[codes & len(self.magnitudes) - 1]


FORMATS = {
    fmt.name: fmt
    for fmt in (
        # The order of the codes is the one that a lane decodes with the fewest look-up tables.
        WeightFormat("w3", (0, 1, 2, 4)),
        WeightFormat("w4r", (1, 2, 4, 8, 16, 32, 0, 0)),
        WeightFormat("w4", (1, 2, 4, 8, 16, 32, 64, 0)),
        # q1 + q2 with q1 of {0, 1, 2, 4} and q2 of {0, 4}: the sums of two powers of two of
        # Chang et al., "Mix and Match", HPCA 2021, at 4 bits, in units of an eighth.
        WeightFormat("sp2", (0, 1, 2, 4, 4, 5, 6, 8)),
        WeightFormat("log4", (1, 2, 3, 6, 4, 8, 12, 0)),
        WeightFormat("log5", (1, 2, 3, 6, 4, 8, 12, 24, 16, 32, 48, 96, 64, 128, 0, 0)),
    )
}


def weight_format(name: str) -> WeightFormat:
    """The format of a name. Errors: :class:`NoMulError` for an unknown one."""
    if name not in FORMATS:
        raise NoMulError(f"no weight format {name}; known are {', '.join(FORMATS)}")
    return FORMATS[name]
