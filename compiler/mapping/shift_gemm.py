"""Convolutions on ``shift_gemm``: one tile of stationary weights a kernel tap and input block.

Loops, inner to outer: column, row, kernel column, kernel row, input block, pass, output block. The
positions of a map (or of as many of its rows as the accumulators hold) pass by one tile of
``lanes x lanes`` terms while the next tile is loaded.

A convolution with groups is dense within the input blocks that a block of outputs reads, with zero
weights between the groups. Which blocks are read must be affine in the block of outputs.
"""

import numpy as np

from compiler.layout import Layout
from compiler.mapping import Convolution, EngineRun, Mapping
from compiler.nest import Level, Walk
from compiler.settings import Run
from compiler.terms import fewest_passes, largest_exponent
from compiler.tiles import Tile, tiles
from quant.errors import NoMulError
from quant.numbers import encode_terms, to_terms
from rtl.architecture import Architecture
from rtl.engines.shift_gemm import ShiftGemm, ShiftGemmConfig
from rtl.isa import MAX_PASSES, Nest
from rtl.packing import pack

__all__ = ["last_sum", "map_convolution"]


def map_convolution(architecture: Architecture, convolution: Convolution) -> Mapping:
    """See :mod:`compiler.mapping`.

    Errors: :class:`NoMulError` for weights that no passes make.
    """
    config: ShiftGemmConfig = architecture.engine_config
    shifts = choose_passes(architecture, convolution)
    reads = InputBlocks.of(convolution)
    windows = [(shift, shift + config.exponents - 1) for shift in shifts]
    terms = to_terms(convolution.weight, windows)
    assert terms is not None  # what choose_passes promises
    words, correction = [], []
    for block in range(convolution.output.layout.blocks):
        matrices = dense_block(convolution, terms, block, reads)
        passes = [matrix >> shift for matrix, shift in zip(matrices, shifts)]
        correction.append(folding(config, convolution, passes, shifts))
        # pass, input block, kernel row, kernel column, output lane, input lane
        ordered = np.stack(passes).transpose(0, 2, 4, 5, 1, 3)
        codes = encode_terms(ordered.reshape(-1, config.lanes), config.term_bits)
        words.append(pack(codes, config.term_bits))
    height, width = convolution.output.shape[1:]
    blocks = convolution.output.layout.blocks
    return Mapping(
        weights=np.concatenate(words),
        passes=tuple((shift, False) for shift in shifts),
        correction=np.concatenate(correction),
        runs=tuple(
            engine_run(config, convolution, len(shifts), reads, tile)
            for tile in tiles(
                height, width, blocks, architecture.memory.accumulator_words, whole=True
            )
        ),
    )


def last_sum(config: ShiftGemmConfig, run: Run) -> int:
    """See :mod:`compiler.mapping`: a tile of weights is loaded while the one before it works."""
    vectors = run.engine_settings(ShiftGemm.Settings)["last_vector"] + 1
    tile_count = run.words(Nest.ACTIVATION) // vectors
    before_last = (tile_count - 1) * max(vectors, config.lanes + 1)
    return config.lanes + 3 + before_last + vectors - 1 + config.latency


def choose_passes(architecture: Architecture, convolution: Convolution) -> list[int]:
    """Left shifts of the fewest passes that make the layer's weights."""
    config: ShiftGemmConfig = architecture.engine_config
    weights = convolution.weight
    shifts = fewest_passes(weights, config.exponents, 1 << architecture.pass_shift_bits)
    if shifts is None:
        reach = config.exponents - 1 + (1 << architecture.pass_shift_bits) - 1
        raise NoMulError(
            f"layer {convolution.name}: a weight needs the term 2**{largest_exponent(weights)}, "
            f"{architecture.name} reaches 2**{reach}; raise term_bits or pass_shift_bits, or "
            f"quantize with fewer bits"
        )
    if len(shifts) > MAX_PASSES:
        raise NoMulError(
            f"layer {convolution.name}: weights with terms up to 2**{largest_exponent(weights)} "
            f"need {len(shifts)} passes, a machine has {MAX_PASSES}; raise term_bits or quantize "
            f"with fewer bits"
        )
    return shifts


class InputBlocks:
    """Input blocks that blocks of outputs read: ``count`` from ``first + block * stride`` on."""

    def __init__(self, first: int, stride: int, count: int) -> None:
        self.first = first
        self.stride = stride
        self.count = count

    @classmethod
    def of(cls, convolution: Convolution) -> "InputBlocks":
        """The fewest blocks a block of outputs that an affine rule can name."""
        total = convolution.input.layout.blocks
        spans = [input_span(convolution, b) for b in range(convolution.output.layout.blocks)]
        for count in range(max(high - low for low, high in spans) + 1, total):
            for stride in range(-total, total + 1):
                ranges = [
                    (max(high - count + 1, 0) - b * stride, min(low, total - count) - b * stride)
                    for b, (low, high) in enumerate(spans)
                ]
                first = max(low for low, _ in ranges)
                if first <= min(high for _, high in ranges):
                    return cls(first, stride, count)
        return cls(0, 0, total)


def input_span(convolution: Convolution, block: int) -> tuple[int, int]:
    """First and last input block whose channels a block of outputs depends on."""
    outputs = block_channels(convolution.output.layout, block)
    outputs = outputs[outputs >= 0]
    group_inputs = convolution.weight.shape[1]
    groups = outputs // (convolution.weight.shape[0] // convolution.groups)
    inputs = (groups[:, None] * group_inputs + np.arange(group_inputs)).reshape(-1)
    read = convolution.input.layout.place[inputs] // convolution.input.layout.lanes
    return int(read.min()), int(read.max())


def block_channels(layout: Layout, block: int) -> np.ndarray:
    """Channels of the lanes of a block, -1 where unused."""
    return np.array(layout.slots).reshape(-1, layout.lanes)[block]


def dense_block(
    convolution: Convolution, terms: np.ndarray, block: int, reads: InputBlocks
) -> list[np.ndarray]:
    """Terms of one block of outputs, for each pass.

    Returns int64 (output lanes, input blocks, input lanes, rows, columns), transposed for
    :func:`map_convolution` to (input blocks between lanes).
    """
    source, target = convolution.input.layout, convolution.output.layout
    lanes, group_inputs = source.lanes, convolution.weight.shape[1]
    group_outputs = convolution.weight.shape[0] // convolution.groups
    first = (reads.first + block * reads.stride) * lanes
    slots = reads.count * lanes
    rows, columns = convolution.window.kernel
    dense = np.zeros((len(terms), lanes, slots, rows, columns), np.int64)
    for lane, channel in enumerate(block_channels(target, block)):
        if channel >= 0:
            start = channel // group_outputs * group_inputs
            place = source.place[start : start + group_inputs] - first
            dense[:, lane, place] = terms[:, channel]
    return list(dense.reshape(len(terms), lanes, reads.count, lanes, rows, columns))


def folding(
    config: ShiftGemmConfig, convolution: Convolution, passes: list[np.ndarray], shifts: list[int]
) -> np.ndarray:
    """What folded signs add to the sums of each output lane: int64 ``[lanes]``.

    A pass adds ``(2**A - 1) * Σ 2**e`` over its negative terms, and ``2**(A - 1) * Σ w`` where
    activations are signed; see :class:`~rtl.engines.shift_gemm.ShiftGemm`.
    """
    total = np.zeros(config.lanes, np.int64)
    for terms, shift in zip(passes, shifts):
        flat = terms.reshape(config.lanes, -1)
        extra = np.maximum(-flat, 0).sum(axis=1) * ((1 << config.activation_bits) - 1)
        if convolution.input.format.signed:
            extra += flat.sum(axis=1) << config.activation_bits - 1
        total += extra << shift
    return total


def engine_run(
    config: ShiftGemmConfig, convolution: Convolution, passes: int, reads: InputBlocks, tile: Tile
) -> EngineRun:
    """Nests of the run that makes a tile of the output."""
    window, tensor = convolution.window, convolution.input
    _, height, width = tensor.shape
    positions = tile.rows * tile.columns
    row = tile.row * window.stride[0] - window.padding[0]
    column = tile.column * window.stride[1] - window.padding[1]
    block = height * width
    (rows, columns), dilation, stride = window.kernel, window.dilation, window.stride
    activations = Walk(
        (
            Level(tile.columns, stride[1], column=stride[1]),
            Level(tile.rows, stride[0] * width, row=stride[0]),
            Level(columns, dilation[1], column=dilation[1]),
            Level(rows, dilation[0] * width, row=dilation[0]),
            Level(reads.count, block),
            Level(passes),
            Level(tile.blocks, reads.stride * block),
        ),
        tensor.address + reads.first * block + row * width + column,
        row,
        column,
    )
    reductions = columns * rows * reads.count
    group = reductions * passes
    lanes = config.lanes
    weights = Walk(
        (Level(lanes, 1), Level(group, lanes), Level(tile.blocks, group * lanes)),
    )
    sums = Walk((Level(positions, 1), Level(reductions), Level(passes), Level(tile.blocks)))
    settings = {"last_vector": positions - 1, "signed": int(tensor.format.signed)}
    return EngineRun(activations, weights, sums, settings, tile)
