"""Parts of fields: how many there are at a width, and where they stand."""

from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Cat, Mux, Value

if TYPE_CHECKING:  # type checkers do not follow the metaclass of Amaranth's enumerations
    import enum
else:
    from amaranth.lib import enum

__all__ = [
    "FIELD",
    "PARTS",
    "Width",
    "choose",
    "codes_of",
    "extended",
    "fields_of",
    "joins",
    "part_count",
    "places",
    "sum_bits",
    "width_bits",
]

FIELD = 32
"""Bits of a field of codes."""

PARTS = 4
"""Codes that a field holds at most, and places of a field of sums."""


class Width(enum.Enum, shape=2):  # type: ignore[call-arg]
    """How wide the codes of a field are. Code 3 is no width."""

    W8 = 0
    W16 = 1
    W32 = 2


def width_bits(width: int) -> int:
    """Bits of a code.

    >>> [width_bits(width) for width in range(3)]
    [8, 16, 32]
    """
    return 8 << width


def part_count(width: int) -> int:
    """Codes of a field.

    >>> [part_count(width) for width in range(3)]
    [4, 2, 1]
    """
    return PARTS >> width


def sum_bits(place_bits: int, width: int) -> int:
    """Width of a part's sum where a place has ``place_bits``; a whole field counts 64 of them.

    >>> [sum_bits(28, width) for width in range(3)]
    [28, 56, 64]
    """
    return min(place_bits << width, 64)


def places(width: int) -> range:
    """First place of each part.

    >>> [list(places(width)) for width in range(3)]
    [[0, 1, 2, 3], [0, 2], [0]]
    """
    return range(0, PARTS, 1 << width)


def codes_of(fields: np.ndarray, width: int, signed: bool) -> np.ndarray:
    """Codes of fields ``[..., fields]``: int64 ``[..., fields * parts]``, part 0 first.

    >>> codes_of(np.array([0x80FF0102]), 0, True).tolist()
    [2, 1, -1, -128]
    """
    bits, parts = width_bits(width), part_count(width)
    fields = np.asarray(fields, np.int64)
    codes = fields[..., None] >> np.arange(parts) * bits & (1 << bits) - 1
    if signed:
        codes = codes - (codes >> bits - 1 << bits)
    return codes.reshape(*fields.shape[:-1], -1)


def fields_of(codes: np.ndarray, width: int) -> np.ndarray:
    """The inverse of :func:`codes_of`: unsigned fields, int64.

    >>> hex(fields_of(np.array([2, 1, -1, -128]), 0)[0])
    '0x80ff0102'
    """
    bits, parts = width_bits(width), part_count(width)
    codes = np.asarray(codes, np.int64) & (1 << bits) - 1
    return (codes.reshape(*codes.shape[:-1], -1, parts) << np.arange(parts) * bits).sum(axis=-1)


def joins(width: Value) -> list[Value]:
    """Whether carries cross the border behind place 0, 1 and 2."""
    wide, whole = width != Width.W8.value, width[1]
    return [wide, whole, wide]


def choose(width: Value, narrow: Value, middle: Value, whole: Value) -> Value:
    """The value of the present width: of 8, 16 or 32 bits."""
    return Mux(width[1], whole, Mux(width[0], middle, narrow))


def extended(part: Value, bits: int) -> Value:
    """A signed value in ``bits`` bits, or its lowest ones."""
    return Cat(part, part[-1].replicate(max(bits - len(part), 0)))[:bits]
