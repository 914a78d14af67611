"""Which channel each lane of a tensor's blocks holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Layout"]

UNUSED = -1


@dataclass(frozen=True)
class Layout:
    """Channels in the lanes of a tensor's blocks.

    Parameters
    ----------
    lanes : int
        Lanes of a block.
    slots : tuple of int
        Channel of lane ``l`` of block ``b`` at ``b * lanes + l``; -1 where no channel is held.
    """

    lanes: int
    slots: tuple[int, ...]

    @classmethod
    def default(cls, channels: int, lanes: int) -> "Layout":
        """Channel ``c`` in lane ``c % lanes`` of block ``c // lanes``.

        >>> Layout.default(3, 2).slots
        (0, 1, 2, -1)
        """
        unused = -channels % lanes
        return cls(lanes, (*range(channels), *[UNUSED] * unused))

    @classmethod
    def concatenate(cls, parts: Sequence["Layout"]) -> "Layout":
        """Blocks of all parts, channels numbered through.

        >>> Layout.concatenate([Layout.default(1, 2), Layout.default(2, 2)]).slots
        (0, -1, 1, 2)
        """
        slots: list[int] = []
        before = 0
        for part in parts:
            slots += [UNUSED if c == UNUSED else c + before for c in part.slots]
            before += part.channels
        return cls(parts[0].lanes, tuple(slots))

    @property
    def blocks(self) -> int:
        """Blocks of a tensor."""
        return len(self.slots) // self.lanes

    @property
    def channels(self) -> int:
        """Channels of a tensor."""
        return max(self.slots) + 1

    @cached_property
    def used(self) -> np.ndarray:
        """Slots that hold a channel: int64."""
        return np.flatnonzero(np.array(self.slots) != UNUSED)

    @cached_property
    def place(self) -> np.ndarray:
        """Slot of each channel: int64 ``[channels]``."""
        place = np.zeros(self.channels, np.int64)
        place[np.array(self.slots)[self.used]] = self.used
        return place

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of channels (first axis) at their slots, 0 elsewhere.

        >>> Layout(2, (1, -1, 0, -1)).spread(np.array([7, 8])).tolist()
        [8, 0, 7, 0]
        """
        values = np.asarray(values)
        result = np.zeros((len(self.slots), *values.shape[1:]), values.dtype)
        result[self.place] = values
        return result
