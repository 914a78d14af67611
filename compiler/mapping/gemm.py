"""Convolutions on columns that share vectors, ``shift_gemm`` and ``conv5x5``.

A tile of stationary weights for each vector of a kernel.

Loops, inner to outer: word of sums in a row, row, reduction step, pass, part of the map, group of
blocks. The positions of a part of the map pass by one tile of weights while the next is loaded. A
map is worked off in several parts so that the post-processing of one goes on beside the sums of
the next, and little of it is left behind the last.

Of all ways to share the column groups between blocks and pixels (``split``), to divide the blocks
by the passes that their weights need (:mod:`compiler.mapping.segments`), to read the input
(:mod:`compiler.mapping.reading`) and to divide the map, that with the fewest cycles is taken.

The words of a sliced convolution keep their accumulators from run to run, so their order may not
hang on the weights: of the ways to share the column groups the one with the fewest words is taken,
and a map is one part.

A convolution with groups is dense within the input blocks that a block of outputs reads, with zero
weights between the groups. Which blocks are read must be affine in the block of outputs.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Protocol

import numpy as np

from compiler.mapping import (
    LARGEST_COUNT,
    RUN_OVERHEAD,
    Convolution,
    EngineRun,
    Mapping,
    Timing,
    Way,
    tile_period,
)
from compiler.mapping.flat import flattened
from compiler.mapping.reading import InputBlocks, Reading, readings
from compiler.mapping.segments import Segment, segmentations
from compiler.mapping.weights import Coding, weight_tiles
from compiler.nest import Level, Vector, Walk
from compiler.tiles import Tile
from rtl.architecture import Architecture
from rtl.isa import LEVELS, Nest

__all__ = [
    "Columns",
    "Encoder",
    "map_with",
    "outline_with",
    "plans",
    "splits",
    "tile_timing",
    "ways",
]


class Columns(Protocol):
    """What a config says of its columns."""

    @property
    def lanes(self) -> int:
        """Codes of a feature word, and columns of a group."""

    @property
    def vector_words(self) -> int:
        """Feature words of a vector."""

    @property
    def groups(self) -> int:
        """Groups of columns, each with a vector of its own."""

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sums."""

    @property
    def ready(self) -> int:
        """Fewest cycles from a run's first weight word to its first vector."""


Encoder = Callable[[Architecture, str, np.ndarray], Coding]
"""How an engine codes a layer's weights, of its name and integers."""


def tile_timing(config: Columns, vectors: int, split: int) -> Timing:
    """Timing of tiles for ``split`` blocks that serve ``vectors`` vectors each."""
    load = config.lanes * split
    return Timing(max(load, config.ready), vectors, tile_period(load, vectors), config.latency)


@dataclass(frozen=True)
class Plan:
    """One way to do a convolution.

    Parameters
    ----------
    convolution : Convolution
    reads : InputBlocks
    reading : Reading
    segment : Segment
        The blocks that it is for.
    kept : bool
        Whether one tile serves all steps of a pass.
    split, pixels : int
        Blocks, and neighbouring columns, of a word of sums.
    rows : int
        Output rows of a part of the map.
    """

    convolution: Convolution
    reads: InputBlocks
    reading: Reading
    segment: Segment
    kept: bool
    split: int
    pixels: int
    rows: int

    @property
    def passes(self) -> int:
        """Passes of each weight."""
        return self.segment.passes

    @property
    def rounds(self) -> int:
        """Vectors of an output position."""
        return self.passes * self.reading.steps

    @property
    def limit(self) -> int:
        """Words of sums that a part may have where the accumulators do not matter."""
        return LARGEST_COUNT // (self.reading.steps if self.kept else 1)

    def boxes(self, accumulators: int) -> Iterator[tuple[Tile, int]]:
        """The runs' tiles, and the parts that each is worked off in."""
        output = self.convolution.output
        _, height, width = output.shape
        limit = self.limit if self.rounds == 1 else min(self.limit, accumulators)
        columns = min(width, limit * self.pixels)
        rows = self.rows if columns == width else 1
        # Whole parts in one run, the rows that remain in another.
        parts = height // rows if self.loops < LEVELS[Nest.ACTIVATION] else 1
        for row in range(0, height, rows * parts):
            high = min(rows * parts, height - row)
            for column in range(0, width, columns):
                wide = min(columns, width - column)
                first, blocks = self.segment.first, self.segment.blocks
                tile = Tile(row, high, column, wide, blocks, self.split, self.pixels, first)
                yield tile, max(1, high // rows)

    @property
    def loops(self) -> int:
        """Loops over activations besides that over the parts of the map."""
        counts = [level.count for level in self.reading.levels]
        blocks = -(-self.segment.blocks // self.split)
        return sum(count > 1 for count in [*counts, self.passes, blocks]) + 2

    def estimate(self, config: Columns, accumulators: int) -> int:
        """Cycles of all runs, nearly."""
        total = 0
        for tile, parts in self.boxes(accumulators):
            positions = tile.rows // parts * tile.word_columns
            steps = self.reading.steps
            vectors = positions * (steps if self.kept else 1)
            time = tile_timing(config, vectors, self.split)
            tiles = self.passes * (1 if self.kept else steps)
            count = parts * tile.groups
            drain = tile.members * positions
            # When the first word of the first part, and of the last, is finished.
            first = time.first + (tiles - 1) * time.tile + vectors - positions
            last = first + (count - 1) * tiles * time.tile
            total += RUN_OVERHEAD + max(first + count * drain, last + drain)
        return total


def map_with(encoder: Encoder, architecture: Architecture, convolution: Convolution) -> Mapping:
    """``map_convolution`` of an engine, see :mod:`compiler.mapping`.

    Errors: :class:`NoMulError` for weights that no passes make.
    """
    config: Columns = architecture.engine_config
    convolution = flattened(convolution)
    accumulators = architecture.memory.accumulator_words
    chosen = best_plans(
        config,
        convolution,
        partial(encoder, architecture, convolution.name),
        accumulators,
    )
    words, corrections, runs, first_word = [], [], [], 0
    for plan in chosen:
        segment = plan.segment
        image, correction = weight_tiles(
            config.vector_words,
            convolution,
            segment.coding,
            plan.reads,
            plan.reading,
            plan.split,
            plan.kept,
            segment.first,
            segment.blocks,
        )
        for tile, parts in plan.boxes(accumulators):
            runs.append(engine_run(config, plan, tile, parts, first_word))
        words.append(image)
        corrections.append(correction)
        first_word += len(image)
    return Mapping(
        input=convolution.input,
        output=convolution.output,
        residual=convolution.residual,
        weights=np.concatenate(words),
        correction=np.concatenate(corrections),
        runs=tuple(runs),
    )


def outline_with(
    settings: dict[str, int], architecture: Architecture, convolution: Convolution, passes: int
) -> Mapping:
    """``outline`` of an engine, see :mod:`compiler.mapping`."""
    coding = Coding([0] * passes, None, 0, np.asarray, np.asarray, 0, settings)
    return map_with(lambda *_: coding, architecture, convolution)


def ways(config: Columns, convolution: Convolution, uniform: bool) -> list[Way]:
    """See :mod:`compiler.mapping`."""
    convolution = flattened(convolution)
    reads = InputBlocks.of(convolution)
    return [
        Way(
            reading.steps,
            uniform and reading.alike,
            split,
            config.groups // split,
            config.ready,
        )
        for split in splits(config, convolution, reads)
        for reading in readings(convolution, reads, config.vector_words)
    ]


def best_plans(
    config: Columns,
    convolution: Convolution,
    encode: Callable[[np.ndarray], Coding],
    accumulators: int,
) -> list[Plan]:
    """The plan of each segment, of the way to share the groups and to divide that is fastest."""
    reads = InputBlocks.of(convolution)
    found: list[tuple[int, list[Plan]]] = []
    some = splits(config, convolution, reads)
    if convolution.sliced:
        some = iter([min(some, key=partial(words_and_blocks, config, convolution))])
    for split in some:
        for segments in segmentations(encode, convolution, split):
            total, chosen = 0, []
            for segment in segments:
                ways = plans(config, convolution, reads, segment, split, accumulators)
                cycles, plan = min(
                    ((plan.estimate(config, accumulators), plan) for plan in ways),
                    key=itemgetter(0),
                )
                total += cycles
                chosen.append(plan)
            found.append((total, chosen))
    return min(found, key=itemgetter(0))[1]


def words_and_blocks(config: Columns, convolution: Convolution, split: int) -> tuple[int, int]:
    """Words of sums of a map, and blocks that their groups have room for."""
    blocks, (_, height, width) = convolution.output.layout.blocks, convolution.output.shape
    groups = -(-blocks // split)
    return groups * height * -(-width // (config.groups // split)), groups * split


def plans(
    config: Columns,
    convolution: Convolution,
    reads: InputBlocks,
    segment: Segment,
    split: int,
    accumulators: int,
) -> Iterator[Plan]:
    """All ways to do a segment of a convolution in groups of ``split`` blocks."""
    _, height, width = convolution.output.shape
    weight = convolution.weight
    uniform = bool((weight == weight[:, :, :1, :1]).all())
    pixels = config.groups // split
    for reading in readings(convolution, reads, config.vector_words):
        kept = uniform and reading.alike
        plan = Plan(convolution, reads, reading, segment, kept, split, pixels, 1)
        limit = plan.limit if plan.rounds == 1 else min(plan.limit, accumulators)
        largest = max(1, min(height, limit // -(-width // pixels)))
        for rows in (height,) if convolution.sliced else range(1, largest + 1):
            yield dataclasses.replace(plan, rows=rows)


def splits(config: Columns, convolution: Convolution, reads: InputBlocks) -> Iterator[int]:
    """Blocks of a word of sums that writing and reading allow."""
    output, residual = convolution.output, convolution.residual
    blocks = output.layout.blocks
    for exponent in range(config.groups.bit_length()):
        split = 1 << exponent
        if split in (1, config.groups) or (
            blocks == split == output.pitch
            and (residual is None or residual.pitch == split)
            and reads.stride == 0
        ):
            yield split


def engine_run(config: Columns, plan: Plan, tile: Tile, parts: int, first_word: int) -> EngineRun:
    """Nests of the run that makes a tile of the output in parts of equal size.

    ``first_word`` is the first of the segment's weights among the layer's.
    """
    convolution, reads, reading = plan.convolution, plan.reads, plan.reading
    tensor, window = convolution.input, convolution.window
    stride, pitch = window.stride, tensor.pitch
    row_words = tensor.stored[2] * pitch
    rows = tile.rows // parts
    across, down = stride[1] * pitch, stride[0] * row_words
    levels = (
        Level(tile.word_columns, tile.pixels * across, column=tile.pixels * across),
        Level(rows, down, row=stride[0]),
        *(level for level in reading.levels if level.count > 1),
        Level(plan.passes),
        Level(parts, rows * down, row=rows * stride[0]),
        Level(tile.groups, tile.split * reads.stride, column=tile.split * reads.stride),
    )
    row = tile.row * stride[0] - window.padding[0]
    column = (tile.column * stride[1] - window.padding[1]) * pitch + reads.start(tile.block)
    activations = Walk(
        tuple(level for level in levels if level.count > 1),
        tensor.address + row * row_words + column,
        row,
        column,
    )
    if tile.pixels > 1 or reads.stride == 0:
        shift = tile.split.bit_length() - 1
        vector = Vector(reading.word_step, across if tile.pixels > 1 else 0, shift)
    else:
        vector = Vector(reading.word_step, reads.stride, 0)
    positions = rows * tile.word_columns
    tiles = plan.passes * (1 if plan.kept else reading.steps)
    words = tiles * config.lanes * tile.split
    own = convolution.sliced
    return EngineRun(
        activations,
        vector,
        Walk((Level(words, 1), Level(parts), Level(tile.groups, words)), first_word),
        Walk(
            (
                Level(positions, 1 if plan.rounds > 1 or own else 0),
                Level(reading.steps),
                Level(plan.passes),
                Level(parts * tile.groups, positions if own else 0),
            ),
            tile.block // tile.split * positions if own else 0,
        ),
        {
            "last_vector": positions * (reading.steps if plan.kept else 1) - 1,
            "signed": int(tensor.format.signed),
            "split": tile.split.bit_length() - 1,
            **plan.segment.coding.settings,
        },
        tile,
        tuple(plan.segment.coding.shifts),
    )
