"""What a selector is, apart from the cells that make it: one of several shifted sources.

The sources are picked from one word of bits, so two sources may have bits in common, as a value
and its double have all but one.
"""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Value

__all__ = ["Select", "Source", "gathered"]


class Source(NamedTuple):
    """A value to select: these bits of the word, lowest first, shifted left."""

    places: tuple[int, ...]
    shift: int


class Select(NamedTuple):
    """A selector.

    Parameters
    ----------
    width : int
        Bits of the outcome; what a source has above them is cut off.
    sources : tuple of Source or None
        For each value of the index; None is zero.
    folds : bool
        Whether a source is complemented, before it is shifted, where the sign is set.
    """

    width: int
    sources: tuple[Source | None, ...]
    folds: bool


def gathered(word: Value, places: Sequence[int]) -> Value:
    """Bits of a word as a value, in slices as long as possible."""
    parts: list[list[int]] = []
    for place in places:
        if parts and place == parts[-1][1]:
            parts[-1][1] += 1
        else:
            parts.append([place, place + 1])
    slices = [word[start:stop] for start, stop in parts]
    return slices[0] if len(slices) == 1 else Cat(slices)
