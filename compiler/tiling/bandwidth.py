"""Which of the slots that something may be fetched in have time for it."""

from collections.abc import Mapping, Sequence

from rtl.registers import Region

__all__ = ["Bandwidth"]

PIECE = 64
"""Fewest words that are worth transfers of their own."""


class Bandwidth:
    """What channels can move in each slot while the runs of the task before work.

    Parameters
    ----------
    cycles : sequence of int
        Of each task's runs.
    beats : mapping of Region to int
        Of a word of each memory.
    rate : float
        Beats a cycle, of all channels.

    Attributes
    ----------
    spare : list of float
        Beats for which there is time in each slot besides what it moves; negative where that takes
        longer than the runs.
    """

    def __init__(self, cycles: Sequence[int], beats: Mapping[Region, int], rate: float) -> None:
        self.beats = beats
        self.spare = [0.0, *(rate * n for n in cycles)]

    def move(self, slot: int, region: Region, words: int) -> None:
        """Something is moved in a slot."""
        self.spare[slot] -= words * self.beats[region]

    def divide(self, region: Region, words: int, first: int, end: int) -> list[tuple[int, int]]:
        """Slots from ``first`` to before ``end``, and words that are moved in each.

        As early as there is time. What there is no time for comes first of all: then runs wait for
        transfers in whatever order.

        >>> beats = {Region.WEIGHTS: 3}
        >>> Bandwidth([90, 600, 30], beats, 1.0).divide(Region.WEIGHTS, 300, 0, 3)
        [(0, 100), (2, 200)]
        """
        parts: dict[int, int] = {}
        left = words
        for slot in range(first, end):
            part = min(left, int(self.spare[slot] // self.beats[region]))
            if part >= min(PIECE, left):
                parts[slot] = part
                left -= part
            if not left:
                break
        if left:
            parts[first] = parts.get(first, 0) + left
        for slot, part in parts.items():
            self.move(slot, region, part)
        return sorted(parts.items())
