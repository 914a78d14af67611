"""Weights of few values: a codebook a layer, and packed indices into it.

W. Cheng, I.-C. Lin, Y.-Y. Shih, "An Efficient Implementation of Convolutional Neural Network With
CLIP-Q Quantization on FPGA", IEEE TCSI 69(10), 2022: three 8-bit values and zero, 2-bit indices.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from quant.numbers import dequantize

__all__ = ["INDEX_BITS", "WORD_BITS", "CodedWeight", "Size", "find_codebook", "pack", "unpack"]

INDEX_BITS = (1, 5)
WORD_BITS = 8  # of a codebook's values

Value = tuple[int, int]
"""``odd * 2**exponent`` as (odd, exponent)."""


@dataclass(frozen=True)
class CodedWeight:
    """A weight as a codebook, an index a weight and a power of two an output channel.

    ``weight[o] = codebook[indices[o]] * 2**-fraction[o]``, exactly.

    Parameters
    ----------
    codebook : int32 (values,)
        0 first, then the others ascending, all within 8 bits and as large as they can be.
    indices : uint8, of the weight's shape
    fraction : int32 (outputs,)
    """

    codebook: np.ndarray
    indices: np.ndarray
    fraction: np.ndarray

    @property
    def bits(self) -> int:
        """Width of an index.

        >>> CodedWeight(np.array([0, 64, 96]), np.array([[0, 2]]), np.array([7])).bits
        2
        """
        return max((len(self.codebook) - 1).bit_length(), 1)

    @property
    def codes(self) -> np.ndarray:
        """The weight in units of ``2**-fraction``: int32, of its shape."""
        return self.codebook[self.indices].astype(np.int32)

    @property
    def values(self) -> np.ndarray:
        """The weight: float32."""
        fraction = self.fraction.reshape(-1, *[1] * (self.indices.ndim - 1))
        return dequantize(self.codes, fraction).astype(np.float32)

    @property
    def zeros(self) -> int:
        """How many weights are 0."""
        return int((self.indices == 0).sum())

    @property
    def size(self) -> "Size":
        """What it takes on disk."""
        count = self.indices.size
        return Size(
            weights=count,
            zeros=self.zeros,
            index_bytes=-(-count * self.bits // 8),
            codebook_bytes=(len(self.codebook) - 1) * WORD_BITS // 8,
            fraction_bytes=len(self.fraction),
        )


@dataclass(frozen=True)
class Size:
    """What weights take on disk, in bytes.

    Parameters
    ----------
    weights, zeros : int
        How many there are, and how many of them are 0.
    index_bytes : int
        Of the packed indices.
    codebook_bytes : int
        Of the codebooks, their zeros left out.
    fraction_bytes : int
        Of the powers of two, a byte an output channel.
    """

    weights: int
    zeros: int
    index_bytes: int
    codebook_bytes: int
    fraction_bytes: int

    @classmethod
    def total(cls, sizes: Iterable["Size"]) -> "Size":
        """Of several layers."""
        chosen = list(sizes)
        return cls(
            *(
                sum(getattr(size, name) for size in chosen)
                for name in ("weights", "zeros", "index_bytes", "codebook_bytes", "fraction_bytes")
            )
        )

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.index_bytes + self.codebook_bytes + self.fraction_bytes

    @property
    def compression(self) -> float:
        """How many times smaller than float32.

        >>> round(Size(1000, 200, 250, 3, 10).compression, 2)
        15.21
        """
        return 4 * self.weights / self.bytes


def pack(indices: np.ndarray, bits: int) -> np.ndarray:
    """Indices one behind another, the least significant bit first: uint8 (bytes,).

    >>> pack(np.array([1, 2, 3, 0, 1]), 2).tolist()
    [57, 1]
    """
    flat = np.asarray(indices, np.uint8).reshape(-1, 1)
    if flat.size and int(flat.max()) >> bits:
        raise ValueError(f"index {flat.max()} has more than {bits} bits")
    stream = np.unpackbits(flat, axis=1, count=bits, bitorder="little")
    return np.packbits(stream.reshape(-1), bitorder="little")


def unpack(stream: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Inverse of :func:`pack`: uint8 (count,).

    >>> unpack(np.array([57, 1], np.uint8), 2, 5).tolist()
    [1, 2, 3, 0, 1]
    """
    rows = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    return np.packbits(rows, axis=1, bitorder="little").reshape(-1)


def find_codebook(weight: np.ndarray, bits: int = INDEX_BITS[1]) -> CodedWeight | None:
    """The codebook of a weight; None where it has more values than ``bits`` bits tell apart.

    Output channels are multiples of one codebook by powers of two, which are found: those with the
    most values say what the codebook holds, the others are shifted onto it so that they add the
    fewest values.

    Parameters
    ----------
    weight : float array (outputs, ...)
    bits : int
        Of an index.

    >>> found = find_codebook(np.array([[0.5, -0.75, 0.0], [0.0, -3.0, 2.0]]), 2)
    >>> found.codebook.tolist(), found.indices.tolist(), found.fraction.tolist()
    ([0, -96, 64], [[2, 1, 0], [0, 1, 2]], [7, 5])
    """
    limit = (1 << bits) - 1
    rows = np.asarray(weight, np.float64).reshape(len(weight), -1)
    channels = []
    for row in rows:
        distinct = np.unique(row[row != 0])
        if len(distinct) > limit:
            return None
        channels.append({_odd_part(value) for value in distinct.tolist()})
    book: set[Value] = set()
    shifts = np.zeros(len(rows), np.int64)
    for channel in sorted(range(len(rows)), key=lambda o: -len(channels[o])):
        shifts[channel], book = _join(book, channels[channel])
        if len(book) > limit:
            return None
    lowest = min((exponent for _, exponent in book), default=0)
    sizes = [odd << (exponent - lowest) for odd, exponent in book]
    raised = _room(sizes)
    if raised < 0:
        return None
    nonzero = np.array(sorted(size << raised for size in sizes), np.int32)
    codebook = np.concatenate([[np.int32(0)], nonzero])
    fraction = (raised - lowest + shifts).astype(np.int32)
    codes = np.ldexp(rows, fraction[:, None]).astype(np.int32)
    order = np.argsort(codebook)
    indices = order[np.searchsorted(codebook, codes, sorter=order)].astype(np.uint8)
    return CodedWeight(codebook, indices.reshape(np.shape(weight)), fraction)


def _odd_part(value: float) -> Value:
    """A value that is not 0 as an odd number and an exponent."""
    over, under = value.as_integer_ratio()
    zeros = (over & -over).bit_length() - 1
    return over >> zeros, zeros - (under.bit_length() - 1)


def _join(book: set[Value], channel: set[Value]) -> tuple[int, set[Value]]:
    """The shift of a channel that adds the fewest values, and the book with these.

    Of several it is one with which the book fits 8 bits, then the smallest. Where no value is in
    the book yet, the largest sizes are made alike.
    """
    shifts = {0, _top(book) - _top(channel)}
    shifts |= {e - own for odd, e in book for odd_own, own in channel if odd == odd_own}

    def joined(shift: int) -> set[Value]:
        return book | {(odd, exponent + shift) for odd, exponent in channel}

    def cost(shift: int) -> tuple[int, bool, int]:
        new = joined(shift)
        lowest = min((exponent for _, exponent in new), default=0)
        return len(new), _top(new) - lowest >= WORD_BITS, abs(shift)

    best = min(sorted(shifts), key=cost)
    return best, joined(best)


def _top(values: set[Value]) -> int:
    """Exponent of the first power of two above all sizes; of no values 0."""
    return max((abs(odd).bit_length() + exponent for odd, exponent in values), default=0)


def _room(sizes: list[int]) -> int:
    """By how many bits all sizes can be raised within 8 bits; negative where they do not fit."""
    low, high = -(1 << (WORD_BITS - 1)), (1 << (WORD_BITS - 1)) - 1
    raised = 0 if all(low <= size <= high for size in sizes) else -1
    while raised >= 0 and sizes and all(low <= size << (raised + 1) <= high for size in sizes):
        raised += 1
    return raised
