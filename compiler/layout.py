"""Which channel each lane of a tensor's blocks holds, and which rows of an image a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quant.graph import Shape

__all__ = ["FOLDED", "Layout", "Unfolding"]

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


@dataclass(frozen=True)
class Unfolding:
    """Several rows of an image side by side in the lanes, for images of few channels.

    Channel ``d * channels + c`` of stored row ``y``, column ``x`` is pixel ``(y - top + d, x)`` of
    channel ``c``, 0 outside the image.

    Parameters
    ----------
    rows : int
        Image rows of a stored row.
    top : int
        Stored rows above the image's first.
    """

    rows: int = 1
    top: int = 0

    def shape(self, shape: Shape) -> Shape:
        """Channels, rows and columns of the stored tensor.

        >>> Unfolding(3, 1).shape((3, 32, 32))
        (9, 33, 32)
        """
        channels, height, width = shape
        return channels * self.rows, height + self.top, width

    def unfold(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, C, H, W) as stored.

        >>> Unfolding(2, 1).unfold(np.array([[[[1], [2]]]]))[0, :, :, 0].tolist()
        [[0, 1, 2], [1, 2, 0]]
        """
        height = codes.shape[2] + self.top
        padded = np.pad(codes, ((0, 0), (0, 0), (self.top, self.rows - 1), (0, 0)))
        return np.concatenate([padded[:, :, d : d + height] for d in range(self.rows)], axis=1)

    def fold(self, codes: np.ndarray, shape: Shape) -> np.ndarray:
        """The inverse of :meth:`unfold`; ``shape`` is that of the image."""
        return codes[:, : shape[0], self.top :]


FOLDED = Unfolding()
"""A tensor as it is."""
