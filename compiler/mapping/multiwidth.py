"""Convolutions on ``multiwidth``: a step for each part of each word of inputs.

Loops, inner to outer: word of sums in a row, row, part of the words of inputs, reduction step, part
of the map, group of blocks; where a tile of weights serves all steps, these come before the parts.
The level of the parts is level 2 of the nest ACTIVATION, whose index tells packed load which code
of each field is broadcast. Parts that hold no channel are left out. A convolution's output is seen
at the width of its run, so a block of it is ``lanes * parts`` channels; its input has a width of
its own.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from compiler.mapping import Convolution, EngineRun, Mapping, Timing, Way
from compiler.mapping.flat import flattened
from compiler.mapping.gemm import Plan, tile_timing
from compiler.mapping.reading import InputBlocks, Reading, readings
from compiler.mapping.segments import Segment
from compiler.mapping.weights import Coding, blank_image, block_tiles
from compiler.nest import Level, Vector, Walk
from compiler.rewrite import unfolding_of
from compiler.settings import Run
from compiler.split import width_code
from compiler.tiles import Tile
from rtl.architecture import Architecture
from rtl.engines.multiwidth import Multiwidth, MultiwidthConfig
from rtl.split.parts import FIELD, fields_of

__all__ = ["count_passes", "map_convolution", "outline", "timing", "unfolding_of", "ways"]

INNER = 3
"""Levels of the nest that are always there: columns, rows, parts."""


@dataclass(frozen=True)
class PartsPlan(Plan):
    """A :class:`~compiler.mapping.gemm.Plan` whose reading's innermost level are the parts."""

    @property
    def loops(self) -> int:
        counts = [level.count for level in self.reading.levels[1:]]
        blocks = self.convolution.output.layout.blocks
        return INNER + sum(count > 1 for count in [*counts, blocks])


def map_convolution(architecture: Architecture, convolution: Convolution) -> Mapping:
    """See :mod:`compiler.mapping`."""
    return map_with(weight_words, architecture, convolution)


def outline(architecture: Architecture, convolution: Convolution, passes: int) -> Mapping:
    """See :mod:`compiler.mapping`. Errors: ValueError for more than one pass."""
    if passes != 1:
        raise ValueError(f"{passes} passes: weights are multiplied by in one")
    return map_with(blank_words, architecture, convolution)


def count_passes(architecture: Architecture, name: str, weights: np.ndarray) -> int:
    """See :mod:`compiler.mapping`: weights are multiplied by as they are."""
    return 1


def ways(config: MultiwidthConfig, convolution: Convolution, uniform: bool) -> list[Way]:
    """See :mod:`compiler.mapping`."""
    convolution = flattened(convolution)
    parts = input_parts(convolution, config.lanes)
    return [
        Way(
            plain.steps,
            uniform and may_keep(convolution, plain, parts),
            1,
            1,
            config.ready,
            parts=parts,
        )
        for plain in readings(convolution, InputBlocks.of(convolution), 1)
    ]


def map_with(
    encode: Callable[[int, Plan, int], np.ndarray],
    architecture: Architecture,
    convolution: Convolution,
) -> Mapping:
    """A mapping with the weight image ``encode(fields, plan, parts)``."""
    config: MultiwidthConfig = architecture.engine_config
    convolution = flattened(convolution)
    accumulators = architecture.memory.accumulator_words
    parts = input_parts(convolution, config.lanes)
    plan = min(
        plans(convolution, parts, accumulators),
        key=lambda plan: plan.estimate(config, accumulators),
    )
    return Mapping(
        input=convolution.input,
        output=convolution.output,
        residual=convolution.residual,
        weights=encode(config.lanes, plan, parts),
        correction=np.zeros((convolution.output.layout.blocks, plan_lanes(plan)), np.int64),
        runs=tuple(engine_run(config, plan, *box) for box in plan.boxes(accumulators)),
    )


def plan_lanes(plan: Plan) -> int:
    """Channels of a block of the output."""
    return plan.convolution.output.layout.lanes


def input_parts(convolution: Convolution, fields: int) -> int:
    """Parts of the words of an input that hold channels."""
    layout = convolution.input.layout
    each = layout.lanes // fields
    return int((layout.used % each).max()) + 1


def plans(convolution: Convolution, parts: int, accumulators: int) -> Iterator[Plan]:
    """All ways to do a convolution that are worth a look."""
    _, height, width = convolution.output.shape
    weight = convolution.weight
    uniform = bool((weight == weight[:, :, :1, :1]).all())
    reads = InputBlocks.of(convolution)
    # All blocks, in one pass: weights are multiplied by as they are.
    whole = Coding([0], None, 0, np.asarray, np.zeros_like, FIELD)
    segment = Segment(0, convolution.output.layout.blocks, whole)
    for plain in readings(convolution, reads, 1):
        kept = uniform and may_keep(convolution, plain, parts)
        reading = in_parts(plain, parts)
        plan = PartsPlan(convolution, reads, reading, segment, kept, 1, 1, 1)
        limit = plan.limit if plan.rounds == 1 else min(plan.limit, accumulators)
        for rows in range(1, max(1, min(height, limit // width)) + 1):
            yield dataclasses.replace(plan, rows=rows)


def may_keep(convolution: Convolution, plain: Reading, parts: int) -> bool:
    """Whether a tile can serve all steps: their loops must then be within that of the parts."""
    _, height, width = convolution.output.shape
    loops = sum(count > 1 for count in (height, width, *(x.count for x in plain.levels)))
    return plain.alike and (parts == 1 or loops < INNER)


def in_parts(plain: Reading, parts: int) -> Reading:
    """A reading of which each step is repeated for every part."""
    blocks, rows, columns = (
        np.repeat(each, parts, axis=0) for each in (plain.blocks, plain.rows, plain.columns)
    )
    return Reading(plain.word_step, (Level(parts), *plain.levels), blocks, rows, columns)


def weight_words(fields: int, plan: Plan, parts: int) -> np.ndarray:
    """The image of a layer's weights: uint32 ``[words, fields]`` in the order block of outputs,
    reduction step, part of the inputs, field of the outputs."""
    convolution, reading = plan.convolution, plan.reading
    inputs, outputs = convolution.input.layout.lanes, convolution.output.layout.lanes
    each_in, each_out = inputs // fields, outputs // fields
    width = width_code(FIELD // each_out)
    # Steps of one part, which are as many as those of the map's words.
    one = dataclasses.replace(
        reading,
        levels=reading.levels[1:],
        blocks=reading.blocks[::parts],
        rows=reading.rows[::parts],
        columns=reading.columns[::parts],
    )
    weight = convolution.weight.astype(np.int64)[None]
    words = []
    for block, channels in enumerate(
        np.array(convolution.output.layout.slots).reshape(-1, outputs)
    ):
        own = weight[:, channels[channels >= 0]]
        tiles = block_tiles(inputs, convolution, own, channels, plan.reads, one, block)[0]
        tiles = tiles[:1] if plan.kept else tiles
        # step, output field and part, input field and part: to step, input part, output field,
        # input field, output part.
        tiles = tiles.reshape(len(tiles), fields, each_out, fields, each_in)
        tiles = tiles.transpose(0, 4, 1, 3, 2)[:, :parts]
        words.append(fields_of(tiles.reshape(-1, fields * each_out), width))
    return np.concatenate(words).astype(np.uint32)


def blank_words(fields: int, plan: Plan, parts: int) -> np.ndarray:
    """An image as :func:`weight_words` makes it, of zeros that take no memory."""
    steps = parts if plan.kept else plan.reading.steps
    return blank_image(plan.convolution.output.layout.blocks * steps * fields)


def engine_run(config: MultiwidthConfig, plan: Plan, tile: Tile, parts: int) -> EngineRun:
    """Nests of the run that makes a tile of the output in parts of equal size."""
    convolution, reads, reading = plan.convolution, plan.reads, plan.reading
    tensor, window = convolution.input, convolution.window
    stride, pitch = window.stride, tensor.pitch
    row_words = tensor.stored[2] * pitch
    rows = tile.rows // parts
    across, down = stride[1] * pitch, stride[0] * row_words
    inner: tuple[Level, ...] = (
        Level(tile.columns, across, column=across),
        Level(rows, down, row=stride[0]),
    )
    of_word, *steps = reading.levels
    outer: tuple[Level, ...] = (
        Level(parts, rows * down, row=rows * stride[0]),
        Level(tile.blocks, reads.stride, column=reads.stride),
    )
    if plan.kept and of_word.count > 1:
        inner = looping(*inner, *steps)
        inner = (*inner, *[Level(1)] * (INNER - 1 - len(inner)))
    else:
        outer = (*steps, *outer)
    row = tile.row * stride[0] - window.padding[0]
    column = (tile.column * stride[1] - window.padding[1]) * pitch + reads.first
    positions = rows * tile.columns
    tiles = of_word.count if plan.kept else reading.steps
    words = tiles * config.lanes
    return EngineRun(
        Walk(
            (*inner, of_word, *looping(*outer)),
            tensor.address + row * row_words + column,
            row,
            column,
        ),
        Vector(1, 0, 0),
        Walk((Level(words, 1), Level(parts), Level(tile.blocks, words))),
        Walk(
            (
                Level(positions, 1 if plan.rounds > 1 else 0),
                Level(reading.steps),
                Level(1),
                Level(parts * tile.blocks),
            )
        ),
        {"last_vector": positions * reading.steps // tiles - 1},
        tile,
        (0,),
    )


def looping(*levels: Level) -> tuple[Level, ...]:
    """Levels of more than one iteration."""
    return tuple(level for level in levels if level.count > 1)


def timing(config: MultiwidthConfig, run: Run) -> Timing:
    """See :mod:`compiler.mapping`: a tile of weights is loaded while the one before it works."""
    settings = run.engine_settings(Multiwidth.Settings)
    return tile_timing(config, settings["last_vector"] + 1, 1)
