"""Weights as tiles of columns that share vectors."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from compiler.mapping import Convolution
from compiler.mapping.reading import NOTHING, InputBlocks, Reading
from rtl.packing import pack

__all__ = ["Coding", "blank_image", "weight_tiles"]


@dataclass(frozen=True)
class Coding:
    """A layer's weights as an engine takes them.

    Parameters
    ----------
    shifts : list of int
        Left shift of each pass.
    parts : int64 [passes, outputs, inputs / groups, rows, columns], optional
        Weights of each pass; their sum, each shifted, are the layer's. None for a mapping whose
        image is never used.
    bits : int
        Width of a code.
    encode : function
        Codes of weights.
    excess : function
        ``ENGINE.excess`` of weights.
    activation_bits : int
    settings : dict
        Settings of the engine that depend on the weights.
    """

    shifts: list[int]
    parts: np.ndarray | None
    bits: int
    encode: Callable[[np.ndarray], np.ndarray]
    excess: Callable[[np.ndarray], np.ndarray]
    activation_bits: int
    settings: dict[str, int] = field(default_factory=dict)


def weight_tiles(
    vector_words: int,
    convolution: Convolution,
    coding: Coding,
    reads: InputBlocks,
    reading: Reading,
    split: int,
    kept: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The image of a layer's weights, and what the engine's sums have too much.

    Parameters
    ----------
    vector_words : int
        Words of a vector.
    convolution : Convolution
    coding : Coding
    reads, reading : which words a vector holds
    split : int
        Blocks of a tile, whose columns stand one after another.
    kept : bool
        Whether one tile serves all steps of a pass.

    Returns
    -------
    uint32 ``[words, pieces]`` in the order group of blocks, pass, step, block, lane; and int64
    ``[blocks, lanes]``.
    """
    layout = convolution.output.layout
    lanes, operands = layout.lanes, layout.lanes * vector_words
    words, correction = [], np.zeros((layout.blocks, lanes), np.int64)
    steps = 1 if kept else reading.steps
    if coding.parts is None:
        tiles_of_words = -(-layout.blocks // split) * len(coding.shifts) * steps
        return blank_image(tiles_of_words * split * lanes), correction
    for first in range(0, layout.blocks, split):
        tiles = np.zeros((len(coding.shifts), steps, split, lanes, operands), np.int64)
        for block in range(first, min(first + split, layout.blocks)):
            dense = block_tiles(operands, convolution, coding.parts, reads, reading, block)
            tiles[:, :, block - first] = dense[:, :1] if kept else dense
            excess = coding.excess(dense)
            if convolution.input.format.signed:
                excess = excess + (dense << coding.activation_bits - 1)
            each = excess.sum(axis=(1, 3)) << np.array(coding.shifts)[:, None]
            correction[block] = each.sum(axis=0)
        words.append(pack(coding.encode(tiles.reshape(-1, operands)), coding.bits))
    return np.concatenate(words), correction


def blank_image(words: int) -> np.ndarray:
    """So many weight words that take no memory: uint32."""
    return np.broadcast_to(np.uint32(0), (words, 1))


def block_tiles(
    operands: int,
    convolution: Convolution,
    weights: np.ndarray,
    reads: InputBlocks,
    reading: Reading,
    block: int,
) -> np.ndarray:
    """Tiles of one block of outputs: int64 [passes, steps, output lanes, vector lanes]."""
    source, target = convolution.input.layout, convolution.output.layout
    lanes, outputs, group_inputs = source.lanes, target.lanes, weights.shape[2]
    group_outputs = weights.shape[1] // convolution.groups
    passes, (rows, columns) = len(weights), convolution.window.kernel
    first = (reads.first + block * reads.stride) * lanes
    dense = np.zeros((passes, outputs, reads.count * lanes, rows, columns), np.int64)
    for lane, channel in enumerate(np.array(target.slots).reshape(-1, outputs)[block]):
        if channel >= 0:
            start = channel // group_outputs * group_inputs
            place = source.place[start : start + group_inputs] - first
            dense[:, lane, place] = weights[:, channel]
    # block, row, column, pass, output lane, input lane
    dense = dense.reshape(passes, outputs, reads.count, lanes, rows, columns)
    dense = dense.transpose(2, 4, 5, 0, 1, 3)
    tiles = dense[reading.blocks, reading.rows, np.minimum(reading.columns, columns - 1)]
    tiles[reading.blocks == NOTHING] = 0
    # step, word, pass, output lane, input lane
    tiles = tiles.transpose(2, 0, 3, 1, 4)
    return tiles.reshape(passes, reading.steps, outputs, operands)
