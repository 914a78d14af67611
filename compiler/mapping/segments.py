"""Parts of a layer's output channels whose weights need different numbers of passes.

A group of blocks of output channels is made before the next is begun, so each may have passes of
its own: neighbouring groups that need equally many are a segment, which is a run, or several where
the map needs them. Widths of weights thus cost no hardware, and a group pays for its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compiler.layout import Layout
from compiler.mapping import Convolution
from compiler.mapping.weights import Coding

__all__ = ["Segment", "segmentations"]

Encode = Callable[[np.ndarray], Coding]
"""How an engine codes weights."""


@dataclass(frozen=True)
class Segment:
    """Neighbouring blocks of a layer with passes of their own.

    Parameters
    ----------
    first, blocks : int
    coding : Coding
        Of the weights of the blocks' channels, in the order of their lanes.
    """

    first: int
    blocks: int
    coding: Coding

    @property
    def passes(self) -> int:
        """Passes of each weight."""
        return len(self.coding.shifts)


def segmentations(encode: Encode, convolution: Convolution, split: int) -> list[list[Segment]]:
    """Ways to divide a layer that are worth a look: as a whole, and by what its groups need.

    ``split`` are the blocks of a group; the second way is missing where it saves no pass.
    """
    weight, layout = convolution.weight, convolution.output.layout
    whole = Segment(0, layout.blocks, encode(weight[channels_of(layout, 0, layout.blocks)]))
    if whole.passes == 1 or layout.blocks <= split:
        return [[whole]]

    def passes(values: np.ndarray) -> int:
        return len(encode(values).shifts)

    bounds = [0]
    gathered, count = np.zeros(0, weight.dtype), 0
    for first in range(0, layout.blocks, split):
        own = np.unique(weight[channels_of(layout, first, split)])
        joint = np.union1d(gathered, own)
        if first and not passes(joint) == passes(own) == count:
            bounds.append(first)
            joint = own
        gathered, count = joint, passes(joint)
    if len(bounds) == 1:
        return [[whole]]
    ends = [*bounds[1:], layout.blocks]
    return [
        [whole],
        [
            Segment(a, b - a, encode(weight[channels_of(layout, a, b - a)]))
            for a, b in zip(bounds, ends)
        ],
    ]


def channels_of(layout: Layout, first: int, blocks: int) -> np.ndarray:
    """Channels of some blocks in the order of their lanes."""
    slots = np.array(layout.slots[first * layout.lanes : (first + blocks) * layout.lanes])
    return slots[slots >= 0]
