"""Views: tensors that only rearrange another one, kept as arrays of positions.

Slices, padding, transposition, reshape, channel shuffles and nearest upsampling move elements and
compute nothing. A view notes where each of its elements comes from, so every such operation is one
numpy expression on positions, whatever the front end calls it. Only when an operation needs the
elements in memory is the view expressed by layers.
"""

from dataclasses import dataclass, replace

import numpy as np

from quant.graph import Shape, Window

__all__ = ["ZERO", "Selection", "Unsupported", "View"]

ZERO = 0
"""The position of an element that is the constant zero; element ``i`` of a tensor is ``i + 1``."""


class Unsupported(Exception):
    """The current node cannot be imported; the front end adds its name and operator."""


@dataclass(frozen=True, eq=False)
class View:
    """Elements of a layer's tensor in a new arrangement.

    Parameters
    ----------
    tensor : str
        The tensor that the elements come from.
    source : Shape
        Shape of that tensor for one image.
    shape : tuple of int
        Shape of the view, the batch first.
    positions : int64 of ``shape``, or None
        1 + the flat position in the tensor of the whole batch; ``ZERO`` for a zero. None stands
        for all elements in their order.
    origin : str
        The node that made the view, for names and messages.
    softmax : str
        The node of a softmax that was left out, which only the network's output may pass.
    """

    tensor: str
    source: Shape
    shape: tuple[int, ...]
    origin: str
    positions: np.ndarray | None = None
    softmax: str = ""

    def indices(self) -> np.ndarray:
        """The positions as an array, also where they are None."""
        if self.positions is not None:
            return self.positions
        return np.arange(1, int(np.prod(self.shape)) + 1, dtype=np.int64).reshape(self.shape)

    def rearranged(self, moved: np.ndarray, origin: str) -> "View":
        """The view with the positions ``moved``, which are some of its own, and zeros.

        Errors: :class:`Unsupported` if elements move between the images of a batch.
        """
        batch = self.shape[0]
        moved = moved.astype(np.int64)
        if moved.ndim == 0 or moved.shape[0] != batch or moved.size == 0:
            raise Unsupported(
                f"it makes the shape {moved.shape} of {self.shape}, which loses the batch of "
                f"{batch} images; keep the first dimension as it is"
            )
        image = int(np.prod(self.source))
        first = moved[0]
        used = first[first != ZERO]
        offset = np.arange(batch).reshape(-1, *[1] * first.ndim) * image
        expected = np.where(first == ZERO, ZERO, first + offset)
        if used.size and (used.max() > image or not np.array_equal(moved, expected)):
            raise Unsupported("it moves elements from one image of the batch to another")
        ordered = first.size == image and np.array_equal(first.ravel(), np.arange(1, image + 1))
        return replace(self, shape=moved.shape, origin=origin, positions=None if ordered else moved)


@dataclass(frozen=True)
class Selection:
    """A view of (channels, rows, columns) as channels x rows x columns that are chosen apart.

    Parameters
    ----------
    channels, rows, columns : int64 arrays
        The position in the source that each output position shows, -1 for zero.
    """

    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, view: View) -> "Selection | None":
        """The selection that equals a 4-dimensional view, or None where there is none."""
        _, height, width = view.source
        first = view.indices()[0]
        shown = first != ZERO
        channel, rest = np.divmod(first - 1, height * width)
        row, column = np.divmod(rest, width)
        channels = np.where(shown, channel, -1).max(axis=(1, 2))
        rows = np.where(shown, row, -1).max(axis=(0, 2))
        columns = np.where(shown, column, -1).max(axis=(0, 1))
        c, r, k = np.ix_(channels, rows, columns)
        rebuilt = np.where((c < 0) | (r < 0) | (k < 0), ZERO, (c * height + r) * width + k + 1)
        return cls(channels, rows, columns) if np.array_equal(rebuilt, first) else None

    def keeps_channels(self, source: Shape) -> bool:
        """Whether all channels stay in their order."""
        return np.array_equal(self.channels, np.arange(source[0]))

    def factor(self, source: Shape) -> tuple[int, int] | None:
        """(rows, columns) by which the view repeats every position, or None."""
        factors = []
        for shown, size in ((self.rows, source[1]), (self.columns, source[2])):
            factor = len(shown) // size
            if factor * size != len(shown) or not np.array_equal(
                shown, np.arange(len(shown)) // factor
            ):
                return None
            factors.append(factor)
        return (factors[0], factors[1]) if self.keeps_channels(source) else None

    def window(self, source: Shape) -> tuple[Window, tuple[int, int]] | None:
        """The window that shows the chosen rows and columns, and the kernel position that it sees.

        None where no window does.
        """
        vertical = axis_window(self.rows, source[1])
        horizontal = axis_window(self.columns, source[2])
        if vertical is None or horizontal is None:
            return None
        window = Window(
            kernel=(vertical.kernel, horizontal.kernel),
            stride=(vertical.stride, horizontal.stride),
            padding=(vertical.before, horizontal.before, vertical.after, horizontal.after),
        )
        return window, (vertical.tap, horizontal.tap)


@dataclass(frozen=True)
class AxisWindow:
    """A window along one axis, of which one ``tap`` is seen."""

    kernel: int
    stride: int
    before: int
    after: int
    tap: int


def axis_window(shown: np.ndarray, size: int) -> AxisWindow | None:
    """The window over ``size`` inputs whose output ``i`` is input ``shown[i]``, -1 for padding.

    >>> axis_window(np.array([-1, 0, 1, 2, -1]), 3)
    AxisWindow(kernel=1, stride=1, before=1, after=1, tap=0)
    >>> axis_window(np.array([1, 3]), 6)
    AxisWindow(kernel=3, stride=2, before=0, after=0, tap=1)
    >>> axis_window(np.array([2, 1, 0]), 3) is None
    True
    """
    valid = np.flatnonzero(shown >= 0)
    if not valid.size:
        return None
    first, count = int(valid[0]), len(shown)
    start = int(shown[first])
    stride = int(shown[valid[1]]) - start if valid.size > 1 else size
    if stride < 1:
        return None
    before = max(first * stride - start, 0)
    tap = start + before - first * stride
    seen = np.arange(count) * stride - before + tap
    if not np.array_equal(np.where((seen >= 0) & (seen < size), seen, -1), shown):
        return None
    # The kernel grows past its tap where the window would otherwise give further outputs.
    kernel = max(tap + 1, size + before - count * stride + 1)
    after = max((count - 1) * stride + kernel - size - before, 0)
    return AxisWindow(kernel, stride, before, after, tap)
