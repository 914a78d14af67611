"""Weights as passes and tiles of ``shift_gemm``."""

import numpy as np

from compiler.mapping import Convolution
from compiler.mapping.reading import NOTHING, InputBlocks, Reading
from compiler.terms import fewest_passes, largest_exponent
from quant.errors import NoMulError
from quant.numbers import to_terms
from quant.weight_formats import weight_format
from rtl.architecture import Architecture
from rtl.engines.shift_gemm import ShiftGemm, ShiftGemmConfig
from rtl.isa import MAX_PASSES
from rtl.packing import pack

__all__ = ["choose_passes", "weight_tiles"]


def choose_passes(
    architecture: Architecture, name: str, weights: np.ndarray
) -> tuple[list[int], np.ndarray]:
    """Left shifts of the fewest passes that make a layer's weights, and the weights of each.

    One pass where all weights are levels of the engine's format, shifted alike; else powers of
    two, a term a weight and pass.

    Returns shifts, and int64 ``[passes, *weights.shape]`` of levels.
    """
    config: ShiftGemmConfig = architecture.engine_config
    fmt = weight_format(config.weights)
    size = np.abs(np.asarray(weights, np.int64))
    reach = 1 << architecture.pass_shift_bits
    for shift in range(reach):
        if np.isin(size, fmt.levels << shift).all():
            return [shift], (np.asarray(weights, np.int64) >> shift)[None]
    shifts = fewest_passes(weights, fmt.powers, reach)
    if shifts is None:
        raise NoMulError(
            f"layer {name}: a weight needs the term 2**{largest_exponent(weights)}, "
            f"{architecture.name} reaches 2**{fmt.powers - 1 + reach - 1}; use weights of a larger "
            f"format, raise pass_shift_bits, or quantize with fewer bits"
        )
    if len(shifts) > MAX_PASSES:
        raise NoMulError(
            f"layer {name}: weights with terms up to 2**{largest_exponent(weights)} "
            f"need {len(shifts)} passes, a machine has {MAX_PASSES}; use weights of a larger "
            f"format or quantize with fewer bits"
        )
    terms = to_terms(weights, [(shift, shift + fmt.powers - 1) for shift in shifts])
    assert terms is not None  # what fewest_passes promises
    return shifts, terms >> np.array(shifts).reshape(-1, *[1] * weights.ndim)


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
