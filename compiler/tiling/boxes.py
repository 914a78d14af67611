"""Parts of layers: which box of its inputs a box of the output needs, and the layer between them.

A tile is itself a layer, smaller, that computes exactly the codes of its box; so whatever maps,
runs or checks layers does it with tiles too.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.layout import UNUSED, Layout
from quant.errors import NoMulError
from quant.graph import Shape, Window
from quant.quantized import QAdd, QConv, QLayer, QMaxPool, QRequantize, QUpsample

__all__ = ["Box", "TileLayer", "boxes", "cut", "cut_layout", "divisible"]


@dataclass(frozen=True)
class Box:
    """Rows, columns and blocks of a tensor: first and number of each.

    Rows are ``row_step`` apart and columns ``column_step``, blocks side by side.
    """

    row: int
    rows: int
    column: int
    columns: int
    block: int
    blocks: int
    row_step: int = 1
    column_step: int = 1

    @property
    def words(self) -> int:
        """Feature words."""
        return self.rows * self.columns * self.blocks

    @property
    def end(self) -> tuple[int, int, int]:
        """Row, column and block behind the last."""
        return (
            self.row + (self.rows - 1) * self.row_step + 1,
            self.column + (self.columns - 1) * self.column_step + 1,
            self.block + self.blocks,
        )


@dataclass(frozen=True)
class TileLayer:
    """A tile of a layer.

    Parameters
    ----------
    layer : QLayer
        It makes the box of the output from those of the inputs; names are the whole layer's.
    output : Box
    inputs : tuple of Box
        The box of each input that it reads.
    """

    layer: QLayer
    output: Box
    inputs: tuple[Box, ...]


def boxes(
    height: int, width: int, blocks: int, rows: int, columns: int, some: int
) -> Iterator[Box]:
    """Boxes of at most ``rows x columns x some`` that cover a tensor: blocks, rows, columns.

    >>> [(box.block, box.row, box.rows) for box in boxes(3, 1, 2, 2, 1, 1)]
    [(0, 0, 2), (0, 2, 1), (1, 0, 2), (1, 2, 1)]
    """
    for block in range(0, blocks, some):
        for row in range(0, height, rows):
            for column in range(0, width, columns):
                yield Box(
                    row,
                    min(rows, height - row),
                    column,
                    min(columns, width - column),
                    block,
                    min(some, blocks - block),
                )


def divisible(layer: QLayer) -> bool:
    """Whether a tile may have some of a layer's blocks: not where channels come in groups.

    Groups of one channel are no groups in this sense.
    """
    if not isinstance(layer, QConv):
        return True
    return layer.groups == 1 or is_depthwise(layer)


def is_depthwise(layer: QConv) -> bool:
    """Whether each output channel sees the input channel of its number alone."""
    return layer.groups == layer.weight.shape[0] and layer.weight.shape[1] == 1


def cut_layout(layout: Layout, box: Box) -> Layout:
    """The layout of a box's blocks, with the channels that they hold numbered from 0.

    >>> cut_layout(Layout(2, (0, 1, 2, -1)), Box(0, 1, 0, 1, 1, 1)).slots
    (0, -1)
    """
    lanes = layout.lanes
    slots = layout.slots[box.block * lanes : (box.block + box.blocks) * lanes]
    order = {channel: at for at, channel in enumerate(sorted(c for c in slots if c != UNUSED))}
    return Layout(lanes, tuple(order.get(channel, UNUSED) for channel in slots))


def channels_of(layout: Layout, box: Box) -> np.ndarray:
    """Channels that a box's blocks hold, ascending: int64."""
    slots = np.array(layout.slots)[
        box.block * layout.lanes : (box.block + box.blocks) * layout.lanes
    ]
    return np.sort(slots[slots != UNUSED])


def cut(layer: QLayer, box: Box, shapes: Sequence[Shape], layouts: Sequence[Layout]) -> TileLayer:
    """The tile that makes a box of a layer's output.

    Parameters
    ----------
    layer : QLayer
        As it runs: a convolution, or what goes past the engine.
    box : Box
        With all blocks where the layer is not :func:`divisible`; of an enlarged map, whole
        repetitions of rows and columns.
    shapes, layouts : of each input as it is stored, then of the output

    Errors: ``ValueError`` for a box that no tile can make; :class:`NoMulError` for one whose
    windows see padding alone.
    """
    output = layouts[-1]
    if box.blocks < output.blocks and not divisible(layer):
        raise ValueError(f"layer {layer.name} has groups of channels: a tile needs all its blocks")
    channels = channels_of(output, box)
    shape = (len(channels), box.rows, box.columns)
    if isinstance(layer, QConv):
        return cut_convolution(layer, box, shape, shapes[0], layouts[0], channels)
    if isinstance(layer, QMaxPool):
        source, window = windowed(layer, box, shapes[0], box.block, box.blocks)
        pool = dataclasses.replace(layer, shape=shape, window=window)
        return TileLayer(pool, box, (source,))
    same = box
    if isinstance(layer, QUpsample):
        down, across = layer.factor
        if box.row % down or box.rows % down or box.column % across or box.columns % across:
            raise ValueError(f"layer {layer.name}: a tile has whole repetitions of {layer.factor}")
        same = Box(
            box.row // down,
            box.rows // down,
            box.column // across,
            box.columns // across,
            box.block,
            box.blocks,
        )
    elif not isinstance(layer, QAdd | QRequantize):
        raise ValueError(f"layer {layer.name}: no tiles of {type(layer).__name__}")
    return TileLayer(dataclasses.replace(layer, shape=shape), box, (same,) * len(layer.inputs))


def cut_convolution(
    layer: QConv,
    box: Box,
    shape: Shape,
    source_shape: Shape,
    source_layout: Layout,
    channels: np.ndarray,
) -> TileLayer:
    """See :func:`cut`."""
    depthwise = layer.groups > 1 and is_depthwise(layer)
    first, count = (box.block, box.blocks) if depthwise else (0, source_layout.blocks)
    source, window = windowed(layer, box, source_shape, first, count)
    tile = dataclasses.replace(
        layer,
        shape=shape,
        window=window,
        groups=len(channels) if depthwise else layer.groups,
        **{
            name: getattr(layer, name)[channels]
            for name in ("weight", "weight_fraction", "bias", "shift", "residual_shift")
        },
    )
    return TileLayer(tile, box, (source, box)[: len(layer.inputs)])


def windowed(
    layer: QConv | QMaxPool, box: Box, shape: Shape, block: int, blocks: int
) -> tuple[Box, Window]:
    """The box of an input that the windows of an output's box see, and the window on that box.

    What the windows see beyond the map becomes padding of the box. Along an axis on which windows
    are one wide, the box has only the rows or columns that they see.
    """
    window = layer.window
    spans, before, after, strides = [], [], [], []
    axes = (box.row, box.rows, box.row_step), (box.column, box.columns, box.column_step)
    for axis, (start, count, apart) in enumerate(axes):
        size, stride = shape[1 + axis], window.stride[axis] * apart
        first = start * window.stride[axis] - window.padding[axis]
        reach = window.dilation[axis] * (window.kernel[axis] - 1)
        step = stride if reach == 0 else 1
        # Of the row or column `first` and so many behind it, `step` apart, those on the map.
        more = (count - 1) * stride // step + reach
        low = max(-(first // step), 0)
        high = min((size - 1 - first) // step, more)
        if high < low:
            raise NoMulError(
                f"layer {layer.name}: some outputs see padding alone, which no tile can; use less "
                f"padding"
            )
        spans.append((first + low * step, high - low + 1, step))
        before.append(low)
        after.append(more - high)
        strides.append(stride // step)
    (row, rows, row_step), (column, columns, column_step) = spans
    padding = (before[0], before[1], after[0], after[1])
    return (
        Box(row, rows, column, columns, block, blocks, row_step, column_step),
        dataclasses.replace(window, padding=padding, stride=(strides[0], strides[1])),
    )
