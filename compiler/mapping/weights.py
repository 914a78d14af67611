"""Weights as tiles of ``shift_gemm``."""

import numpy as np

from compiler.mapping import Convolution
from compiler.mapping.reading import NOTHING, InputBlocks, Reading
from quant.weight_formats import weight_format
from rtl.engines.shift_gemm import ShiftGemm, ShiftGemmConfig
from rtl.packing import pack

__all__ = ["weight_tiles"]


def weight_tiles(
    config: ShiftGemmConfig,
    convolution: Convolution,
    weights: np.ndarray,
    shifts: list[int],
    reads: InputBlocks,
    reading: Reading,
    split: int,
    kept: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The image of a layer's weights, and what the engine's sums have too much.

    Parameters
    ----------
    config : ShiftGemmConfig
    convolution : Convolution
    weights : int64 [passes, outputs, inputs / groups, rows, columns]
    shifts : list of int
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
    blocks = convolution.output.layout.blocks
    fmt = weight_format(config.weights)
    words, correction = [], np.zeros((blocks, config.lanes), np.int64)
    for first in range(0, blocks, split):
        tiles = np.zeros(
            (len(shifts), 1 if kept else reading.steps, split, config.lanes, config.column_lanes),
            np.int64,
        )
        for block in range(first, min(first + split, blocks)):
            dense = block_tiles(config, convolution, weights, reads, reading, block)
            tiles[:, :, block - first] = dense[:, :1] if kept else dense
            excess = ShiftGemm.excess(config, dense)
            if convolution.input.format.signed:
                excess = excess + (dense << config.activation_bits - 1)
            each = excess.sum(axis=(1, 3)) << np.array(shifts)[:, None]
            correction[block] = each.sum(axis=0)
        codes = fmt.encode(tiles.reshape(-1, config.column_lanes))
        words.append(pack(codes, fmt.bits))
    return np.concatenate(words), correction


def block_tiles(
    config: ShiftGemmConfig,
    convolution: Convolution,
    weights: np.ndarray,
    reads: InputBlocks,
    reading: Reading,
    block: int,
) -> np.ndarray:
    """Tiles of one block of outputs: int64 [passes, steps, output lanes, vector lanes]."""
    source, target = convolution.input.layout, convolution.output.layout
    lanes, group_inputs = source.lanes, weights.shape[2]
    group_outputs = weights.shape[1] // convolution.groups
    passes, (rows, columns) = len(weights), convolution.window.kernel
    first = (reads.first + block * reads.stride) * lanes
    dense = np.zeros((passes, lanes, reads.count * lanes, rows, columns), np.int64)
    for lane, channel in enumerate(np.array(target.slots).reshape(-1, lanes)[block]):
        if channel >= 0:
            start = channel // group_outputs * group_inputs
            place = source.place[start : start + group_inputs] - first
            dense[:, lane, place] = weights[:, channel]
    # block, row, column, pass, output lane, input lane
    dense = dense.reshape(passes, lanes, reads.count, lanes, rows, columns)
    dense = dense.transpose(2, 4, 5, 0, 1, 3)
    tiles = dense[reading.blocks, reading.rows, np.minimum(reading.columns, columns - 1)]
    tiles[reading.blocks == NOTHING] = 0
    # step, word, pass, output lane, input lane
    tiles = tiles.transpose(2, 0, 3, 1, 4)
    return tiles.reshape(passes, reading.steps, lanes, config.column_lanes)
