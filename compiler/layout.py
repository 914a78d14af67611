"""Which channel each lane of a tensor's blocks holds, and which rows of an image a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quant.graph import Shape
from quant.numbers import Format

__all__ = ["FOLDED", "UNUSED", "Layout", "Layouts", "Unfolding"]

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
class Layouts:
    """What layouts the tensors of a machine of ``lanes`` have."""

    lanes: int

    def usual(self, channels: int, fmt: Format) -> Layout:
        """Where so many channels of a format stand, if nothing else decides it."""
        return Layout.default(channels, self.lanes)

    def like(self, layout: Layout, fmt: Format) -> Layout:
        """The layout of codes of a format that stand as those of another tensor do."""
        return layout


@dataclass(frozen=True)
class Unfolding:
    """Several pixels of an image side by side in the lanes, for images of few channels.

    Channel ``(d * columns + e) * channels + c`` of stored row ``y``, column ``x`` is channel ``c``
    of pixel ``(y * down - top + d, x * across - left + e)``, 0 outside the image.

    Parameters
    ----------
    rows, top : int
        Image rows of a stored row, and rows above the image's first of the first of them.
    down : int
        Image rows from a stored row to the next, at most ``rows``.
    columns, left, across : int
        The same for columns.
    """

    rows: int = 1
    top: int = 0
    down: int = 1
    columns: int = 1
    left: int = 0
    across: int = 1

    def shape(self, shape: Shape) -> Shape:
        """Channels, rows and columns of the stored tensor.

        >>> Unfolding(3, 1).shape((3, 32, 32))
        (9, 33, 32)
        >>> Unfolding(4, 2, 4, 4, 2, 4).shape((3, 227, 227))
        (48, 58, 58)
        """
        channels, height, width = shape
        stored_rows = -(-(height + self.top) // self.down)
        return (
            channels * self.rows * self.columns,
            stored_rows,
            -(-(width + self.left) // self.across),
        )

    def unfold(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, C, H, W) as stored.

        >>> Unfolding(2, 1).unfold(np.array([[[[1], [2]]]]))[0, :, :, 0].tolist()
        [[0, 1, 2], [1, 2, 0]]
        """
        _, height, width = self.shape(codes.shape[1:])
        bottom = (height - 1) * self.down + self.rows - codes.shape[2] - self.top
        right = (width - 1) * self.across + self.columns - codes.shape[3] - self.left
        padded = np.pad(codes, ((0, 0), (0, 0), (self.top, bottom), (self.left, right)))
        return np.concatenate(
            [
                padded[
                    :,
                    :,
                    d : d + (height - 1) * self.down + 1 : self.down,
                    e : e + (width - 1) * self.across + 1 : self.across,
                ]
                for d in range(self.rows)
                for e in range(self.columns)
            ],
            axis=1,
        )

    def fold(self, codes: np.ndarray, shape: Shape) -> np.ndarray:
        """The inverse of :meth:`unfold`; ``shape`` is that of the image."""
        channels, height, width = shape
        y, d = np.divmod(np.arange(height) + self.top, self.down)
        x, e = np.divmod(np.arange(width) + self.left, self.across)
        first = (d[:, None] * self.columns + e) * channels
        channel = first + np.arange(channels)[:, None, None]
        return codes[:, channel, y[:, None], x]


FOLDED = Unfolding()
"""A tensor as it is."""
