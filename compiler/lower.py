"""Layers to runs: a convolution on the engine, all else past it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from compiler.bypass import enlargements, windows
from compiler.emit import Emitter, pack_parameters
from compiler.mapping import Convolution, Mapping
from compiler.nest import Level, Vector, Walk
from compiler.settings import encode_fields
from compiler.tiles import Tile
from compiler.widths import check_shift, check_windows, residual_shifts
from quant.graph import Window
from quant.quantized import (
    QAdd,
    QConv,
    QLayer,
    QMaxPool,
    QRequantize,
    QUpsample,
)
from rtl import engines
from rtl.architecture import Architecture
from rtl.isa import Nest, Opcode, Path

__all__ = ["Mapper", "lower"]


Mapper = Callable[[Architecture, Convolution], Mapping]
"""What puts a convolution onto the engine."""


def lower(
    emitter: Emitter, layer: QLayer, mapper: Mapper, continues: bool = False, ends: bool = True
) -> None:
    """Emit the runs of a layer; those of a convolution are the mapper's.

    A convolution may be one of several that follow each other, each of other inputs, and together
    make the outputs: all but the first ``continues`` the sums of those before, only the last
    ``ends`` with outputs, bias and residual.

    Errors: :class:`NoMulError` that names the layer where the machine cannot do it.
    """
    if isinstance(layer, QConv):
        convolution(emitter, layer, mapper, continues, ends)
    else:
        LOWERINGS[type(layer)](emitter, layer)


def convolution(
    emitter: Emitter, layer: QConv, mapper: Mapper, continues: bool, ends: bool
) -> None:
    """On the engine: weights, parameters, and a run for each tile."""
    architecture = emitter.architecture
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    residual = emitter.tensors[layer.inputs[1]] if len(layer.inputs) > 1 else None
    left = right = 0
    if residual is not None:
        left, right = residual_shifts(layer.name, layer.shift, layer.residual_shift)
    for extreme in (layer.shift.min(), layer.shift.max()):
        check_shift(layer.name, "shift", int(extreme) - right)
    mapped = mapper(
        architecture,
        Convolution(
            layer.name,
            layer.weight,
            layer.window,
            layer.groups,
            source,
            output,
            residual,
            continues or not ends,
        ),
    )
    # What the sums of all have too much goes off the bias, which only the last adds.
    correction = mapped.correction + (emitter.carried if continues else 0)
    emitter.carried = correction
    spread = output.layout.spread
    lanes = architecture.lanes
    bias = spread(layer.bias).reshape(-1, lanes) - correction
    shift = spread(layer.shift - right).reshape(-1, lanes)
    # The last group of blocks may have more members than there are blocks.
    missing = -len(bias) % mapped.runs[0].tile.split
    bias, shift = (np.pad(part, ((0, missing), (0, 0))) for part in (bias, shift))
    first_parameter = 0
    if ends:
        parameters = pack_parameters(architecture.accumulator_bits, bias, shift)
        first_parameter = emitter.add_parameters(parameters)
    first_weight = emitter.add_weights(mapped.weights)
    settings = engines.find(architecture.engine).Settings

    emitter.set(
        Opcode.POST,
        residual=int(ends and residual is not None),
        residual_signed=int(residual is not None and residual.format.signed),
        residual_left=left,
        right=right,
        logarithmic=int(layer.format.logarithmic),
    )
    emitter.set(Opcode.RANGE, low=layer.low, high=layer.high)
    for run in mapped.runs:
        emitter.activations(run.activations, run.vector, mapped.input)
        weights = run.weights
        emitter.walk(Nest.WEIGHT, Walk(weights.levels, weights.address + first_weight))
        emitter.walk(Nest.SUM, run.sums)
        if ends:
            emitter.walk(Nest.PARAMETER, run.tile.parameters(first_parameter))
        emitter.set(Opcode.ENGINE, settings=encode_fields(settings, run.settings))
        if ends:
            emitter.outputs(run.tile, mapped.output, mapped.residual)
        else:
            emitter.discard(run.tile)
        work = run.tile.outputs * layer.weight.shape[1]
        emitter.run(Path.ENGINE, source.format.signed, run.passes, work, continues)


def max_pool(emitter: Emitter, layer: QMaxPool) -> None:
    """The largest of each window."""
    check_windows(layer, emitter.tensors[layer.inputs[0]].shape)
    uniform(emitter, layer)
    window_runs(emitter, layer, layer.window, 0)


def add(emitter: Emitter, layer: QAdd) -> None:
    """One input past the engine, the other as the residual.

    The first has the finer fraction, and so a left shift of 0.
    """
    # A shift to the left of both and one to the right of their sum cancel.
    both = layer.shifts[0]
    shift, residual_shift = layer.shift - both, layer.shifts[1] - both
    check_shift(layer.name, "shift", shift)
    left, right = residual_shifts(layer.name, np.array([shift]), np.array([residual_shift]))
    uniform(emitter, layer, left, right)
    window_runs(emitter, layer, Window(), shift - right)


def requantize(emitter: Emitter, layer: QRequantize) -> None:
    """A copy whose codes are shifted to the right and clipped."""
    shift = layer.shift - layer.left
    check_shift(layer.name, "shift", shift)
    uniform(emitter, layer)
    window_runs(emitter, layer, Window(), shift)


def upsample(emitter: Emitter, layer: QUpsample) -> None:
    """Every word ``factor`` times: loops that do not move the address."""
    uniform(emitter, layer)
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    for tile, walk in enlargements(layer, source, output, emitter.architecture.groups):
        bypass(emitter, layer, walk, Vector(1, 1), 1, tile, 0)


def uniform(emitter: Emitter, layer: QLayer, residual_left: int = 0, right: int = 0) -> None:
    """Settings of post-processing past the engine; a second input is the residual."""
    residual = emitter.tensors[layer.inputs[1]] if len(layer.inputs) > 1 else None
    emitter.set(
        Opcode.POST,
        residual=int(residual is not None),
        residual_signed=int(residual is not None and residual.format.signed),
        residual_left=residual_left,
        right=right,
        logarithmic=int(layer.format.logarithmic),
    )
    emitter.set(Opcode.RANGE, low=layer.low, high=layer.high)


def window_runs(emitter: Emitter, layer: QLayer, window: Window, shift: int) -> None:
    """Runs past the engine in which each output is the largest code of its window, shifted."""
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    groups, blocks, columns = emitter.architecture.groups, output.layout.blocks, output.shape[2]
    # Column groups work on neighbouring columns or on neighbouring blocks, whatever fills them.
    by_columns = -(-columns // groups) * blocks <= columns * -(-blocks // groups)
    split, pixels = (1, groups) if by_columns else (groups, 1)
    vector = Vector(1, window.stride[1] * source.pitch if by_columns else 1)
    for tile, block in windows(window, source, output, split, pixels):
        walk = replace(block, levels=(*block.levels, Level(tile.groups, split, column=split)))
        bypass(emitter, layer, walk, vector, window.positions, tile, shift)


def bypass(
    emitter: Emitter,
    layer: QLayer,
    activations: Walk,
    vector: Vector,
    window: int,
    tile: Tile,
    shift: int,
) -> None:
    """A run past the engine that makes a tile of a layer's output."""
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    residual = emitter.tensors[layer.inputs[1]] if len(layer.inputs) > 1 else None
    emitter.activations(activations, vector, source)
    emitter.walk(Nest.SUM, Walk((Level(1), Level(window), Level(1), Level(tile.words))))
    words = Level(tile.members), Level(tile.word_columns), Level(tile.rows), Level(tile.groups)
    emitter.walk(Nest.PARAMETER, Walk(words, emitter.shift_parameter(shift)))
    emitter.outputs(tile, output, residual)
    emitter.run(Path.BYPASS, source.format.signed, (0,), tile.outputs)


LOWERINGS: dict[type[QLayer], Callable] = {
    QMaxPool: max_pool,
    QAdd: add,
    QUpsample: upsample,
    QRequantize: requantize,
}
