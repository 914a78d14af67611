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
    parts : int64 [passes, *shape of the weights], optional
        Weights of each pass; their sum, each shifted, are those that were coded. None for a mapping
        whose image is never used.
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
    first: int,
    blocks: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The image of some blocks' weights, and what the engine's sums have too much.

    Parameters
    ----------
    vector_words : int
        Words of a vector.
    convolution : Convolution
    coding : Coding
        Of the weights of the blocks' channels, in the order of their lanes.
    reads, reading : which words a vector holds
    split : int
        Blocks of a tile, whose columns stand one after another.
    kept : bool
        Whether one tile serves all steps of a pass.
    first, blocks : int
        The first block and how many.

    Returns
    -------
    uint32 ``[words, pieces]`` in the order group of blocks, pass, step, block, lane; and int64
    ``[blocks, lanes]``.
    """
    layout = convolution.output.layout
    lanes, operands = layout.lanes, layout.lanes * vector_words
    words, correction = [], np.zeros((blocks, lanes), np.int64)
    steps = 1 if kept else reading.steps
    if coding.parts is None:
        tiles_of_words = -(-blocks // split) * len(coding.shifts) * steps
        return blank_image(tiles_of_words * split * lanes), correction
    channels = np.array(layout.slots).reshape(-1, lanes)[first : first + blocks]
    # Position of each lane's channel among those that are coded.
    place = (np.cumsum(channels >= 0) - 1).reshape(channels.shape)
    for start in range(0, blocks, split):
        tiles = np.zeros((len(coding.shifts), steps, split, lanes, operands), np.int64)
        for block in range(start, min(start + split, blocks)):
            used = channels[block] >= 0
            own = coding.parts[:, place[block][used]]
            dense = block_tiles(
                operands, convolution, own, channels[block], reads, reading, first + block
            )
            tiles[:, :, block - start] = dense[:, :1] if kept else dense
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
    channels: np.ndarray,
    reads: InputBlocks,
    reading: Reading,
    block: int,
) -> np.ndarray:
    """Tiles of one block of outputs: int64 [passes, steps, output lanes, vector lanes].

    ``channels`` are those of its lanes, -1 for none, and ``weights`` theirs, lane by lane.
    """
    source = convolution.input.layout
    lanes, outputs, group_inputs = source.lanes, len(channels), weights.shape[2]
    group_outputs = len(convolution.weight) // convolution.groups
    passes, (rows, columns) = len(weights), convolution.window.kernel
    first = (reads.first + block * reads.stride) * lanes
    dense = np.zeros((passes, outputs, reads.count * lanes, rows, columns), np.int64)
    for row, lane in enumerate(np.flatnonzero(channels >= 0)):
        start = channels[lane] // group_outputs * group_inputs
        place = source.place[start : start + group_inputs] - first
        dense[:, lane, place] = weights[:, row]
    # block, row, column, pass, output lane, input lane
    dense = dense.reshape(passes, outputs, reads.count, lanes, rows, columns)
    dense = dense.transpose(2, 4, 5, 0, 1, 3)
    tiles = dense[reading.blocks, reading.rows, np.minimum(reading.columns, columns - 1)]
    tiles[reading.blocks == NOTHING] = 0
    # step, word, pass, output lane, input lane
    tiles = tiles.transpose(2, 0, 3, 1, 4)
    return tiles.reshape(passes, reading.steps, outputs, operands)
