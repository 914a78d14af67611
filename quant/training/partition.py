"""CLIP-Q: small weights are clipped to 0, the others become the means of a few intervals.

F. Tung, G. Mori, "CLIP-Q: Deep Network Compression Learning by In-Parallel Pruning-Quantization",
CVPR 2018; W. Cheng, I.-C. Lin, Y.-Y. Shih, IEEE TCSI 69(10), 2022, for the formats.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from quant.codebooks import INDEX_BITS, WORD_BITS
from quant.errors import NoMulError
from quant.numbers import count_terms

__all__ = ["PARTITIONS", "SIDES", "Partition", "allowed_values", "clipped"]

SIDES = ("sign", "all")
PARTITIONS = ("linear", "means")
SWEEPS = 8  # of "means"; later ones change next to nothing
EXACT = 1e-9  # P times a count is whole within this


@dataclass(frozen=True)
class Partition:
    """How the weights of a layer become a few values.

    Parameters
    ----------
    bits : int
        Of an index: ``2**bits - 1`` intervals, each on one side of 0.
    clip : float
        Share of the weights that become 0, the nearest to it (P).
    clip_of : str
        ``sign``: the share of the negative and of the positive weights; ``all``: of all.
    intervals : str
        ``linear``: of equal width, from the smallest to the largest weight of a side. ``means``:
        these, then moved so that each weight is in the interval of the nearest mean (Lloyd).

    Errors: :class:`NoMulError` for values out of range.
    """

    bits: int = 2
    clip: float = 0.2
    clip_of: str = "sign"
    intervals: str = "linear"

    def __post_init__(self) -> None:
        if not INDEX_BITS[0] <= self.bits <= INDEX_BITS[1]:
            raise NoMulError(
                f"an index of {self.bits} bits is no codebook's; "
                f"give {INDEX_BITS[0]} to {INDEX_BITS[1]}"
            )
        if not 0 <= self.clip < 1:
            raise NoMulError(f"clip is {self.clip}; give 0 or more, below 1")
        for name, known in (("clip_of", SIDES), ("intervals", PARTITIONS)):
            if getattr(self, name) not in known:
                raise NoMulError(
                    f"{name} is {getattr(self, name)!r}; choose one of: {', '.join(known)}"
                )

    def negative_intervals(self, weight: torch.Tensor) -> int:
        """Intervals for negative weights; the sign of most of the kept weights gets one more.

        So with 1 bit the other sign becomes 0.
        """
        kept = ~clipped(weight, self.clip, self.clip_of)
        below = int((kept & (weight < 0)).sum())
        half = 1 << (self.bits - 1)
        return half if 2 * below > int(kept.sum()) else half - 1

    def apply(self, weight: torch.Tensor, negative: int, allowed: torch.Tensor) -> torch.Tensor:
        """Every weight as 0 or as the mean of its interval, rounded to an allowed value.

        Parameters
        ----------
        weight : float tensor, any shape
        negative : int
            Intervals for negative weights; the others are for positive ones.
        allowed : float tensor, ascending
            Values that means are rounded to, the nearest.
        """
        flat = weight.detach().flatten()
        kept = ~clipped(flat, self.clip, self.clip_of)
        result = torch.zeros_like(flat)
        counts = (negative, (1 << self.bits) - 1 - negative)
        for count, side in zip(counts, (flat < 0, flat > 0)):
            chosen = kept & side
            if count and chosen.any():
                members = flat[chosen]
                means, part = self._intervals(members, count)
                result[chosen] = nearest(means, allowed)[part]
        return result.view_as(weight)

    def _intervals(self, members: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Means of the intervals of one side, ascending, and each member's interval."""
        low, high = members.min(), members.max()
        width = (high - low) / count
        # All members alike: one interval of no width.
        part = ((members - low) / torch.where(width > 0, width, 1.0)).long().clamp(0, count - 1)
        borders = low + width * torch.arange(count)
        means = _means(members, part, borders + width / 2)
        if self.intervals == "means":
            for _ in range(SWEEPS):
                before, part = part, torch.bucketize(members, (means[1:] + means[:-1]) / 2)
                if torch.equal(part, before):
                    break
                means = _means(members, part, means)
        return means, part


def clipped(weight: torch.Tensor, clip: float, clip_of: str) -> torch.Tensor:
    """Which weights are clipped, at least the share ``clip`` of all: bool of the weight's shape.

    Of ``n`` weights ``ceil(clip * n)``; of the negative ones the nearest whole number to their
    share where ``clip_of`` is ``sign``. Of equal weights the first are clipped; a weight 0 always
    is.

    >>> weight = torch.tensor([-3.0, -1.0, -2.0, 0.5, 0.25])
    >>> clipped(weight, 0.4, "all").tolist()
    [False, False, False, True, True]
    >>> clipped(weight, 0.4, "sign").tolist()
    [False, True, False, False, True]
    """
    flat = weight.detach().flatten()
    total = math.ceil(clip * len(flat) - EXACT)
    size, mask = flat.abs(), flat == 0
    if clip_of == "all":
        mask |= _smallest(size, total)
        return mask.view_as(weight)
    negative = flat < 0
    count = int(negative.sum())
    below = max(round(clip * count), total - (len(flat) - count))
    for side, share in ((negative, below), (~negative, total - below)):
        mask[side] |= _smallest(size[side], share)
    return mask.view_as(weight)


def _smallest(values: torch.Tensor, count: int) -> torch.Tensor:
    """Which are the ``count`` smallest, of equal ones the first: bool (values,)."""
    if not count:
        return torch.zeros_like(values, dtype=torch.bool)
    # Selection takes a fraction of the time of sorting, in every step of a training.
    border = values.kthvalue(count).values
    mask = values < border
    mask[(values == border).nonzero().flatten()[: count - int(mask.sum())]] = True
    return mask


def allowed_values(fraction: int, word: int = WORD_BITS, terms: int = 0) -> torch.Tensor:
    """Values of a codebook, ascending: signed fixed point of ``word`` bits.

    Parameters
    ----------
    fraction : int
        Bits behind the point: Q3.5 has 5.
    word : int
        2 to 8.
    terms : int
        How many signed powers of two a value may be the sum of; 0 is any number.

    Errors: :class:`NoMulError` for values out of range.

    >>> allowed_values(5)[[0, -1]].tolist()
    [-4.0, 3.96875]
    >>> allowed_values(0, 3, 1).tolist()
    [-4.0, -2.0, -1.0, 0.0, 1.0, 2.0]
    """
    if not 2 <= word <= WORD_BITS:
        raise NoMulError(f"word is {word}; give 2 to {WORD_BITS} bits")
    if not 0 <= terms <= 2:
        raise NoMulError(f"terms is {terms}; give 1 or 2 powers of two, or 0 for any value")
    codes = np.arange(-(1 << (word - 1)), 1 << (word - 1))
    if terms:
        codes = codes[count_terms(codes) <= terms]
    return torch.from_numpy(np.ldexp(codes.astype(np.float32), -fraction))


def nearest(values: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Each value as the nearest allowed one; of two equally near ones the smaller.

    >>> nearest(torch.tensor([0.4, 2.9, 9.0]), torch.tensor([0.0, 1.0, 2.0, 4.0])).tolist()
    [0.0, 2.0, 4.0]
    """
    return allowed[torch.bucketize(values, (allowed[1:] + allowed[:-1]) / 2)]


def _means(members: torch.Tensor, part: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
    """Mean of each interval's members; of an interval without any the value in ``empty``."""
    count = torch.bincount(part, minlength=len(empty))
    # In float64, so that millions of weights sum to the same mean in any order.
    total = torch.bincount(part, weights=members.double(), minlength=len(empty))
    means = (total / count.clamp(min=1)).to(members.dtype)
    return torch.where(count > 0, means, empty)
