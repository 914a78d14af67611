"""Convolutions in slices: some blocks of the inputs at a time, whose sums stay in the accumulators.

The weights of even one block of outputs may be more than the weight memory holds. Then runs over
the same outputs follow each other, each with the weights of some blocks of the inputs; all but the
first add to the sums of those before, and the last gives the outputs. All inputs are on chip
meanwhile, only weights come slice by slice.
"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from compiler.layout import UNUSED, Layout
from compiler.tiling.boxes import Box, cut_layout
from quant.graph import Shape, Window
from quant.quantized import QConv, QLayer

__all__ = ["Slice", "as_row", "is_row", "may_slice", "row_layout", "sliced", "slices"]


@dataclass(frozen=True)
class Slice:
    """Neighbouring blocks of a convolution's input.

    Parameters
    ----------
    number : int
        Counted from 0.
    first, blocks : int
        Of a row (:func:`is_row`) the words of the map.
    last : bool
    row : bool
        Whether the convolution is seen as a row.
    """

    number: int
    first: int
    blocks: int
    last: bool
    row: bool


def may_slice(layer: QLayer) -> bool:
    """Whether a layer can be worked off in slices: a convolution without groups of channels."""
    return isinstance(layer, QConv) and layer.groups == 1


def is_row(layer: QConv, shape: Shape) -> bool:
    """Whether a window sees a whole map (channels, rows, columns) without padding.

    Then the words of the map are as many blocks of a single position, whose slices may begin at
    any word.
    """
    window = layer.window
    return window.kernel == shape[1:] and not any(window.padding) and window.dilation == (1, 1)


def slices(blocks: int, vector_words: int, count: int, row: bool) -> list[Slice]:
    """At most ``count`` slices of nearly equal size, of whole vectors where that goes.

    >>> [(part.first, part.blocks) for part in slices(8, 3, 2, False)]
    [(0, 6), (6, 2)]
    """
    vectors = -(-blocks // vector_words)
    count = min(count, vectors)
    # The larger ones first.
    ends = [min(-(-vectors * n // count) * vector_words, blocks) for n in range(count + 1)]
    return [
        Slice(number, first, end - first, end == blocks, row)
        for number, (first, end) in enumerate(pairwise(ends))
    ]


@lru_cache(maxsize=8)
def row_layout(layout: Layout, positions: int) -> Layout:
    """The layout of a map of so many positions as the blocks of one."""
    slots = np.array(layout.slots)
    place = np.arange(positions)[:, None] * layout.channels
    found = np.where(slots == UNUSED, UNUSED, slots + place)
    return Layout(layout.lanes, tuple(found.reshape(-1).tolist()))


def as_row(layer: QConv) -> QConv:
    """The same convolution of the map as one position, see :func:`is_row`."""
    weight = layer.weight.transpose(0, 2, 3, 1)
    return dataclasses.replace(layer, weight=weight.reshape(len(weight), -1, 1, 1), window=Window())


def sliced(layer: QConv, layout: Layout, part: Slice) -> tuple[QConv, Layout]:
    """A convolution of a slice of its input, of this layout, and the layout of the slice."""
    if part.row:
        layer, layout = as_row(layer), row_layout(layout, layer.window.positions)
    slots = np.array(layout.slots[part.first * layout.lanes :][: part.blocks * layout.lanes])
    channels = np.sort(slots[slots != UNUSED])
    own = cut_layout(layout, Box(0, 1, 0, 1, part.first, part.blocks))
    return dataclasses.replace(layer, weight=layer.weight[:, channels]), own
