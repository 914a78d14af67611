"""Layers to runs: a convolution on the engine, all else past it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compiler import mapping
from compiler.emit import Emitter, pack_parameters
from compiler.mapping import Convolution
from compiler.nest import Level, Walk
from compiler.settings import encode_fields
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile, tiles
from compiler.widths import check_shift, check_sum, convolution_limits
from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import canonical_digits
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConv,
    QLayer,
    QMaxPool,
    QRequantize,
    QUpsample,
)
from rtl import engines
from rtl.isa import COUNT, MAX_PASSES, Accumulate, Nest, Opcode, Path

__all__ = ["lower"]

LARGEST_COUNT = 1 << COUNT.width


@dataclass(frozen=True)
class Uniform:
    """Post-processing that is the same for all channels."""

    shift: int
    residual: PlacedTensor | None = None
    residual_shift: int = 0


def lower(emitter: Emitter, layer: QLayer) -> None:
    """Emit the runs of a layer.

    Errors: :class:`NoMulError` that names the layer where the machine cannot do it.
    """
    LOWERINGS[type(layer)](emitter, layer)


def convolution(emitter: Emitter, layer: QConv) -> None:
    """On the engine: weights, parameters, and a run for each tile."""
    architecture = emitter.architecture
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    residual = emitter.tensors[layer.inputs[1]] if len(layer.inputs) > 1 else None
    for what, shifts in (("shift", layer.shift), ("residual shift", layer.residual_shift)):
        check_shift(layer.name, what, int(shifts.min()))
        check_shift(layer.name, what, int(shifts.max()))
    limits = [emitter.limits[name] for name in layer.inputs]
    sums = convolution_limits(layer, limits[0], limits[1] if residual else None)
    check_sum(layer.name, sums, architecture.accumulator_bits)

    engine = mapping.find(architecture.engine)
    task = Convolution(layer.name, layer.weight, layer.window, layer.groups, source, output)
    mapped = engine.map_convolution(architecture, task)
    spread = output.layout.spread
    parameters = pack_parameters(
        architecture.accumulator_bits,
        spread(layer.bias) - mapped.correction,
        spread(layer.shift),
        spread(layer.residual_shift),
    )
    first_weight = emitter.add_weights(mapped.weights)
    first_parameter = emitter.add_parameters(parameters)
    settings = engines.find(architecture.engine).Settings

    emitter.set(
        Opcode.POST,
        uniform=0,
        shift=0,
        residual=int(residual is not None),
        residual_shift=0,
        residual_signed=int(residual is not None and residual.format.signed),
    )
    emitter.set(Opcode.RANGE, low=layer.low, high=layer.high)
    emitter.walk(Nest.PARAMETER, Walk((Level(len(parameters), 1),), first_parameter))
    bounds(emitter, source, 0)
    for run in mapped.runs:
        emitter.walk(Nest.ACTIVATION, run.activations, source)
        weights = run.weights
        emitter.walk(Nest.WEIGHT, Walk(weights.levels, weights.address + first_weight))
        emitter.walk(Nest.SUM, run.sums)
        emitter.set(Opcode.ENGINE, settings=encode_fields(settings, run.settings))
        outputs(emitter, run.tile, output, residual)
        emitter.run(Path.ENGINE, Accumulate.ADD, source.format.signed, mapped.passes)


def max_pool(emitter: Emitter, layer: QMaxPool) -> None:
    """The largest of each window; padding holds the lowest code."""
    fill = emitter.tensors[layer.inputs[0]].format.low
    pool(emitter, layer, layer.window, fill, Accumulate.MAX, [(0, False)], Uniform(0))


def average_pool(emitter: Emitter, layer: QAvgPool) -> None:
    """Sums of windows, multiplied by a pass for each canonical digit of the multiplier."""
    low, high = emitter.limits[layer.inputs[0]]
    most = layer.window.positions * layer.multiplier
    check_sum(
        layer.name, (min(low, 0) * most, max(high, 0) * most), emitter.architecture.accumulator_bits
    )
    passes = multiplier_passes(emitter, layer.name, layer.multiplier)
    pool(emitter, layer, layer.window, 0, Accumulate.ADD, passes, Uniform(layer.shift))


def pool(
    emitter: Emitter,
    layer: QLayer,
    window: Window,
    fill: int,
    accumulate: Accumulate,
    passes: list[tuple[int, bool]],
    post: Uniform,
) -> None:
    """Windows of every block, the blocks within the accumulated positions."""
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    _, height, width = source.shape
    # A word that starts and finishes at once takes no accumulator.
    stored = window.positions * len(passes) > 1
    limit = emitter.architecture.memory.accumulator_words if stored else LARGEST_COUNT
    for tile in tiles(*output.shape[1:], output.layout.blocks, limit):
        row = tile.row * window.stride[0] - window.padding[0]
        column = tile.column * window.stride[1] - window.padding[1]
        levels = (
            Level(tile.columns, window.stride[1], column=window.stride[1]),
            Level(tile.rows, window.stride[0] * width, row=window.stride[0]),
            Level(tile.blocks, height * width),
            Level(window.kernel[1], window.dilation[1], column=window.dilation[1]),
            Level(window.kernel[0], window.dilation[0] * width, row=window.dilation[0]),
            Level(len(passes)),
        )
        address = source.address + (tile.block * height + row) * width + column
        sums = Walk((Level(tile.words, 1), Level(window.positions), Level(len(passes))))
        bypass(
            emitter,
            layer,
            Walk(levels, address, row, column),
            sums,
            tile,
            fill,
            accumulate,
            passes,
            post,
        )


def add(emitter: Emitter, layer: QAdd) -> None:
    """One input through the accumulator, shifted by its pass, the other as the residual."""
    bits = emitter.architecture.accumulator_bits
    (a_low, a_high), (b_low, b_high) = (emitter.limits[name] for name in layer.inputs)
    a, b = layer.shifts
    check_shift(layer.name, "left shift", a)
    check_shift(layer.name, "residual shift", b)
    check_sum(layer.name, ((a_low << a) + (b_low << b), (a_high << a) + (b_high << b)), bits)
    passes = multiplier_passes(emitter, layer.name, 1 << a)
    residual = emitter.tensors[layer.inputs[1]]
    elementwise(emitter, layer, passes, Uniform(layer.shift, residual, b))


def requantize(emitter: Emitter, layer: QRequantize) -> None:
    """A copy whose codes are shifted and clipped."""
    # A shift to the left and one to the right of what is not rounded yet cancel.
    left, shift = max(layer.left - layer.shift, 0), max(layer.shift - layer.left, 0)
    check_shift(layer.name, "left shift", left)
    low, high = emitter.limits[layer.inputs[0]]
    bits = emitter.architecture.accumulator_bits
    check_sum(layer.name, (low << left, high << left), bits)
    elementwise(emitter, layer, multiplier_passes(emitter, layer.name, 1 << left), Uniform(shift))


def elementwise(
    emitter: Emitter, layer: QLayer, passes: list[tuple[int, bool]], post: Uniform
) -> None:
    """Every word of the input once a pass."""
    pool(emitter, layer, Window(), 0, Accumulate.ADD, passes, post)


def upsample(emitter: Emitter, layer: QUpsample) -> None:
    """Every word ``factor`` times: loops that do not move the address."""
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    _, height, width = source.shape
    rows, columns = layer.factor
    limit = max(1, LARGEST_COUNT // (rows * columns))
    for tile in tiles(height, width, output.layout.blocks, limit):
        levels = (
            Level(columns),
            Level(tile.columns, 1, column=1),
            Level(rows),
            Level(tile.rows, width, row=1),
            Level(tile.blocks, height * width),
        )
        address = source.address + (tile.block * height + tile.row) * width + tile.column
        larger = Tile(
            tile.row * rows,
            tile.rows * rows,
            tile.column * columns,
            tile.columns * columns,
            tile.block,
            tile.blocks,
        )
        walk = Walk(levels, address, tile.row, tile.column)
        sums = Walk((Level(larger.words),))
        one = [(0, False)]
        bypass(emitter, layer, walk, sums, larger, 0, Accumulate.ADD, one, Uniform(0))


def bypass(
    emitter: Emitter,
    layer: QLayer,
    activations: Walk,
    sums: Walk,
    tile: Tile,
    fill: int,
    accumulate: Accumulate,
    passes: list[tuple[int, bool]],
    post: Uniform,
) -> None:
    """A run past the engine that makes a tile of a layer's output."""
    source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
    check_shift(layer.name, "shift", post.shift)
    emitter.set(
        Opcode.POST,
        uniform=1,
        shift=post.shift,
        residual=int(post.residual is not None),
        residual_shift=post.residual_shift,
        residual_signed=int(post.residual is not None and post.residual.format.signed),
    )
    emitter.set(Opcode.RANGE, low=layer.low, high=layer.high)
    bounds(emitter, source, fill)
    emitter.walk(Nest.ACTIVATION, activations, source)
    emitter.walk(Nest.SUM, sums)
    outputs(emitter, tile, output, post.residual)
    emitter.run(Path.BYPASS, accumulate, source.format.signed, passes)


def bounds(emitter: Emitter, source: PlacedTensor, fill: int) -> None:
    """Where activations are, and what stands around them."""
    _, rows, columns = source.shape
    emitter.set(Opcode.BOUNDS, rows=rows, columns=columns, fill=fill)


def outputs(
    emitter: Emitter, tile: Tile, output: PlacedTensor, residual: PlacedTensor | None
) -> None:
    """The nests behind the accumulators."""
    if residual is not None:
        emitter.walk(Nest.RESIDUAL, tile.walk(residual), residual)
    emitter.walk(Nest.OUTPUT, tile.walk(output))


def multiplier_passes(emitter: Emitter, name: str, multiplier: int) -> list[tuple[int, bool]]:
    """Passes (shift, negate) whose sum is the multiplier.

    Errors: :class:`NoMulError` where a machine has too few passes.
    """
    largest = (1 << emitter.architecture.pass_shift_bits) - 1
    passes: list[tuple[int, bool]] = []
    for exponent, digit in enumerate(canonical_digits(np.array(multiplier)).tolist()):
        if digit:
            # A digit beyond the largest shift takes several passes of that shift.
            repeats = 1 << max(exponent - largest, 0)
            passes += [(min(exponent, largest), digit < 0)] * repeats
    if len(passes) > MAX_PASSES:
        raise NoMulError(
            f"layer {name}: a factor of {multiplier} takes {len(passes)} passes, a machine has "
            f"{MAX_PASSES}; raise pass_shift_bits"
        )
    return passes


LOWERINGS: dict[type[QLayer], Callable] = {
    QConv: convolution,
    QMaxPool: max_pool,
    QAvgPool: average_pool,
    QAdd: add,
    QUpsample: upsample,
    QRequantize: requantize,
}
