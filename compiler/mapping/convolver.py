"""Convolutions on convolvers, ``svpe`` and ``vpe``.

Loops, inner to outer: word of a row, row, reduction step, pass, part of the map, group of output
blocks. In each step a sweep over a part of the map passes by one tile of weights, those of the
``groups * lanes`` output channels of a group, while the next is loaded; the shell's accumulators
add the steps. Of all sweeps (:mod:`compiler.mapping.sweep`) and parts, that with the fewest cycles
is taken.

All outputs of a group are made of the same windows. A convolution with groups of channels is dense
within the input blocks that they read, with zero weights between the groups.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from compiler.layout import Unfolding
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
from compiler.mapping.reading import NOTHING, InputBlocks
from compiler.mapping.sweep import Sweep, sweeps
from compiler.mapping.weights import blank_image
from compiler.nest import Level, Vector, Walk
from compiler.rewrite import space_to_depth
from compiler.settings import Run
from compiler.tiles import Tile
from quant.errors import NoMulError
from quant.quantized import QConv
from rtl.architecture import Architecture, Memory
from rtl.convolver.engine import Convolver, ConvolverConfig
from rtl.isa import LEVELS, Nest
from rtl.packing import pack

__all__ = ["Passes", "map_with", "outline", "timing", "unfolding_of", "ways"]

Passes = Callable[[Architecture, str, np.ndarray], tuple[list[int], np.ndarray | None]]
"""Left shifts of the passes that make a layer's weights, and ``[passes, *weights.shape]``, or None
for a mapping whose image is never used."""


def unfolding_of(layer: QConv, lanes: int, vector_words: int) -> Unfolding:
    """See :mod:`compiler.mapping`: phases of a stride are channels of their own."""
    return space_to_depth(layer)


def timing(config: ConvolverConfig, run: Run) -> Timing:
    """See :mod:`compiler.mapping`: a tile of weights is loaded while the one before it works."""
    settings = run.engine_settings(Convolver.Settings)
    return Timing(
        config.outputs,
        settings["last_vector"] + 1,
        tile_period(config.outputs, settings["last_vector"] + 1),
        config.latency,
        settings["last_column"] + 1,
        settings["skip_rows"],
        settings["skip_columns"],
    )


@dataclass(frozen=True)
class Plan:
    """One way to do a convolution.

    Parameters
    ----------
    convolution : Convolution
    reads : InputBlocks
        Of a group of blocks.
    sweep : Sweep
    passes : int
    kept : bool
        Whether one tile serves all steps of a pass.
    groups : int
        Blocks of a word of sums.
    rows : int
        Output rows of a part of the map.
    """

    convolution: Convolution
    reads: InputBlocks
    sweep: Sweep
    passes: int
    kept: bool
    groups: int
    rows: int

    @property
    def steps(self) -> int:
        """Reduction steps of a pass."""
        return self.sweep.reading.steps

    @property
    def rounds(self) -> int:
        """Words of sums of an output position."""
        return self.passes * self.steps

    def vectors(self, rows: int, columns: int) -> int:
        """Vectors of a tile of weights for a part of the map."""
        swept = (rows + self.sweep.skip_rows) * (columns + self.sweep.skip_columns)
        return swept * (self.steps if self.kept else 1)

    def fits(self, rows: int, columns: int, accumulators: int) -> bool:
        """Whether the machine counts so far and accumulates so much."""
        if self.rounds > 1 and rows * columns > accumulators:
            return False
        return self.vectors(rows, columns) <= LARGEST_COUNT

    def boxes(self, accumulators: int) -> Iterator[tuple[Tile, int]]:
        """The runs' tiles, and the parts that each is worked off in."""
        output = self.convolution.output
        _, height, width = output.shape
        columns = width
        while not self.fits(1, columns, accumulators):
            columns = -(-columns // 2)
        rows = self.rows if columns == width else 1
        # Whole parts in one run, the rows that remain in another.
        parts = height // rows if self.loops < LEVELS[Nest.ACTIVATION] else 1
        for row in range(0, height, rows * parts):
            high = min(rows * parts, height - row)
            for column in range(0, width, columns):
                wide = min(columns, width - column)
                yield (
                    Tile(row, high, column, wide, output.layout.blocks, self.groups, 1),
                    max(1, high // rows),
                )

    @property
    def loops(self) -> int:
        """Loops over activations besides that over the parts of the map."""
        counts = [level.count for level in self.sweep.reading.levels]
        blocks = -(-self.convolution.output.layout.blocks // self.groups)
        alike = self.reads.repeat
        return sum(count > 1 for count in [*counts, self.passes, alike, blocks // alike]) + 2

    def estimate(self, config: ConvolverConfig, memory: Memory) -> int:
        """Cycles of all runs, nearly."""
        total = 0
        for tile, parts in self.boxes(memory.accumulator_words):
            rows = tile.rows // parts
            vectors = self.vectors(rows, tile.columns)
            each = tile_period(config.outputs, vectors)
            tiles = self.passes * (1 if self.kept else self.steps)
            count = parts * tile.groups
            drain = tile.members * rows * tile.columns
            # The sweep that finishes words waits where the queue is full.
            last_sweep = max(each, drain - tile.members * memory.queue_words)
            period = (tiles - 1) * each + last_sweep
            # When the first word of the first part, and of the last, is finished.
            first = config.outputs + (tiles - 1) * each + self.first_sum(tile.columns)
            last = first + (count - 1) * period
            total += RUN_OVERHEAD + max(first + count * drain, last + max(drain, vectors))
        return total

    def first_sum(self, columns: int) -> int:
        """Vectors before the first that gives a sum."""
        return self.sweep.skip_rows * (columns + self.sweep.skip_columns) + self.sweep.skip_columns


def map_with(passes: Passes, architecture: Architecture, convolution: Convolution) -> Mapping:
    """``map_convolution`` of an engine, see :mod:`compiler.mapping`.

    Errors: :class:`NoMulError` for weights that no passes make, and for rows that are longer than
    the line buffers.
    """
    config: ConvolverConfig = architecture.engine_config
    shifts, weights = passes(architecture, convolution.name, convolution.weight)
    memory = architecture.memory
    plan = min(
        plans(config, convolution, len(shifts), memory.accumulator_words),
        key=lambda plan: plan.estimate(config, memory),
    )
    convolution = plan.convolution
    words, correction = weight_tiles(config, plan, weights, shifts)
    boxes = list(plan.boxes(memory.accumulator_words))
    if plan.sweep.lines:
        longest = max(tile.columns for tile, _ in boxes) + plan.sweep.skip_columns
        if longest > config.line_words:
            raise NoMulError(
                f"layer {convolution.name}: a row with its padding has {longest} words, line "
                f"buffers of {architecture.name} have line_words = {config.line_words}; set "
                f"line_words = {longest} or use smaller images"
            )
    return Mapping(
        input=convolution.input,
        output=convolution.output,
        residual=convolution.residual,
        weights=words,
        correction=correction,
        runs=tuple(engine_run(config, plan, tile, parts, shifts) for tile, parts in boxes),
    )


def outline(architecture: Architecture, convolution: Convolution, passes: int) -> Mapping:
    """See :mod:`compiler.mapping`."""
    return map_with(lambda *_: ([0] * passes, None), architecture, convolution)


def ways(config: ConvolverConfig, convolution: Convolution, uniform: bool) -> list[Way]:
    """See :mod:`compiler.mapping`."""
    flat = flattened(convolution)
    found = []
    for task in [convolution] if flat is convolution else [convolution, flat]:
        reads = InputBlocks.of_groups(task, config.groups)
        for sweep in sweeps(task, reads, config.kernel, config.words):
            kept = uniform and not sweep.lines and sweep.reading.alike
            skipped = sweep.skip_rows, sweep.skip_columns
            steps = sweep.reading.steps
            found.append(Way(steps, kept, config.groups, 1, 0, sweep.lines, *skipped))
    return found


def plans(
    config: ConvolverConfig, convolution: Convolution, passes: int, accumulators: int
) -> Iterator[Plan]:
    """All ways to do a convolution that are worth a look."""
    same = bool((convolution.weight == convolution.weight[:, :, :1, :1]).all())
    flat = flattened(convolution)
    for task in [convolution] if flat is convolution else [convolution, flat]:
        _, height, width = task.output.shape
        reads = InputBlocks.of_groups(task, config.groups)
        for sweep in sweeps(task, reads, config.kernel, config.words):
            if sweep.lines and width + sweep.skip_columns < 2:
                continue
            kept = same and not sweep.lines and sweep.reading.alike
            plan = Plan(task, reads, sweep, passes, kept, config.groups, 1)
            if plan.loops > LEVELS[Nest.ACTIVATION]:
                continue
            for rows in (height,) if task.sliced else range(1, height + 1):
                if rows == 1 or plan.fits(rows, width, accumulators):
                    yield dataclasses.replace(plan, rows=rows)


def engine_run(
    config: ConvolverConfig, plan: Plan, tile: Tile, parts: int, shifts: list[int]
) -> EngineRun:
    """Nests of the run that makes a tile of the output in parts of equal size."""
    convolution, reads, sweep = plan.convolution, plan.reads, plan.sweep
    tensor, window = convolution.input, convolution.window
    stride, pitch = window.stride, tensor.pitch
    row_words = tensor.stored[2] * pitch
    rows = tile.rows // parts
    across, down = stride[1] * pitch, stride[0] * row_words
    swept = tile.columns + sweep.skip_columns
    levels = (
        Level(swept, across, column=across),
        Level(rows + sweep.skip_rows, down, row=stride[0]),
        *sweep.reading.levels,
        Level(plan.passes),
        Level(parts, rows * down, row=rows * stride[0]),
        Level(reads.repeat),
        Level(tile.groups // reads.repeat, reads.stride, column=reads.stride),
    )
    row = tile.row * stride[0] - window.padding[0]
    column = (tile.column * stride[1] - window.padding[1]) * pitch + reads.first
    activations = Walk(
        tuple(level for level in levels if level.count > 1),
        tensor.address + row * row_words + column,
        row,
        column,
    )
    step = sweep.reading.word_step
    own = convolution.sliced
    words = plan.passes * (1 if plan.kept else plan.steps) * config.outputs
    return EngineRun(
        activations,
        Vector(step, 0 if sweep.lines else config.vector_words * step),
        Walk((Level(words, 1), Level(parts), Level(tile.groups, words))),
        Walk(
            (
                Level(rows * tile.columns, 1 if plan.rounds > 1 or own else 0),
                Level(plan.steps),
                Level(plan.passes),
                Level(parts * tile.groups, rows * tile.columns if own else 0),
            )
        ),
        {
            "last_vector": plan.vectors(rows, tile.columns) - 1,
            "signed": int(tensor.format.signed),
            "lines": int(sweep.lines),
            "last_column": swept - 1 if sweep.lines else 0,
            "skip_rows": sweep.skip_rows,
            "skip_columns": sweep.skip_columns,
        },
        tile,
        tuple(shifts),
    )


def weight_tiles(
    config: ConvolverConfig, plan: Plan, weights: np.ndarray | None, shifts: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The image of a layer's weights, and what the engine's sums have too much.

    Parameters
    ----------
    config : ConvolverConfig
    plan : Plan
    weights : int64 [passes, outputs, inputs / groups, rows, columns], optional
        As they were before the map became one row.
    shifts : list of int

    Returns
    -------
    uint32 ``[words, pieces]`` in the order group of blocks, pass, step, output; and int64
    ``[blocks, lanes]``.
    """
    signed = plan.convolution.input.format.signed
    blocks = plan.convolution.output.layout.blocks
    words, corrections = [], []
    if weights is None:
        tiles_of_words = (
            -(-blocks // config.groups) * plan.passes * (1 if plan.kept else plan.steps)
        )
        correction = np.zeros((blocks, config.lanes), np.int64)
        return blank_image(tiles_of_words * config.outputs), correction
    weights = weights.reshape(len(shifts), *plan.convolution.weight.shape)
    for group in range(-(-blocks // config.groups)):
        tiles = group_tiles(config, plan, weights, group)
        excess = config.excess(tiles)
        if signed:
            excess = excess + (tiles << config.activation_bits - 1)
        each = excess.sum(axis=(1, 3)) << np.array(shifts)[:, None]
        corrections.append(each.sum(axis=0))
        tiles = tiles[:, :1] if plan.kept else tiles
        words.append(pack(config.encode(tiles.reshape(-1, config.operands)), config.code_bits))
    correction = np.concatenate(corrections).reshape(-1, config.lanes)[:blocks]
    return np.concatenate(words), correction


def group_tiles(config: ConvolverConfig, plan: Plan, weights: np.ndarray, group: int) -> np.ndarray:
    """Tiles of a group of blocks: int64 [passes, steps, outputs, operands]."""
    convolution, reads, reading = plan.convolution, plan.reads, plan.sweep.reading
    lanes, (passes, outputs, group_inputs, rows, columns) = config.lanes, weights.shape
    group_outputs = outputs // convolution.groups
    first = reads.start(group) * lanes
    dense = np.zeros((passes, config.outputs, reads.count * lanes, rows, columns), np.int64)
    slots = convolution.output.layout.slots[group * config.outputs :][: config.outputs]
    for place, channel in enumerate(slots):
        if channel >= 0:
            start = channel // group_outputs * group_inputs
            inputs = convolution.input.layout.place[start : start + group_inputs] - first
            dense[:, place, inputs] = weights[:, channel]
    dense = dense.reshape(passes, config.outputs, reads.count, lanes, rows, columns)
    # block, row, column, pass, output, input lane
    dense = dense.transpose(2, 4, 5, 0, 1, 3)
    nothing = reading.blocks == NOTHING
    at = [np.where(nothing, 0, part) for part in (reading.blocks, reading.rows, reading.columns)]
    tiles = dense[*at]
    tiles[nothing] = 0
    # step, tap, pass, output, input lane
    tiles = tiles.transpose(2, 0, 3, 4, 1)
    return tiles.reshape(passes, len(nothing), config.outputs, config.operands)
