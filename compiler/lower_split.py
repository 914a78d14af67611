"""Layers to runs on machines whose codes split: every run has a width, every tensor its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from compiler.bypass import enlargements, windows
from compiler.emit import Emitter
from compiler.lower import Mapper
from compiler.mapping import Convolution
from compiler.nest import Level, Vector, Walk
from compiler.settings import encode_fields
from compiler.split import (
    first_keys,
    pack_split_parameters,
    run_output,
    run_width,
    walk_of,
    width_code,
)
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile
from compiler.widths import Limits, check_windows, convolution_limits
from quant.errors import NoMulError
from quant.graph import Window
from quant.quantized import QAdd, QConv, QLayer, QMaxPool, QRequantize, QUpsample
from quant.stochastic import lfsr_states
from rtl import engines
from rtl.isa import Nest, Opcode, Operation, Path
from rtl.split.parts import PARTS, part_count, sum_bits, width_bits
from rtl.split.requantize import SHIFT_BITS, total_bits

__all__ = ["lower_split"]


@dataclass(frozen=True)
class Place:
    """A layer on a machine: its tensors, and how wide it runs.

    Parameters
    ----------
    emitter : Emitter
    layer : QLayer
    width : int
        Code of :class:`~rtl.split.parts.Width`.
    source, output : PlacedTensor
    residual : PlacedTensor or None
    """

    emitter: Emitter
    layer: QLayer
    width: int
    source: PlacedTensor
    output: PlacedTensor
    residual: PlacedTensor | None

    @classmethod
    def of(cls, emitter: Emitter, layer: QLayer) -> "Place":
        """The layer at the narrowest width that holds its codes and weights."""
        source, output = emitter.tensors[layer.inputs[0]], emitter.tensors[layer.name]
        residual = emitter.tensors[layer.inputs[1]] if len(layer.inputs) > 1 else None
        tensors = [tensor for tensor in (source, output, residual) if tensor is not None]
        return cls(emitter, layer, run_width(layer, tensors), source, output, residual)

    def ratio(self, tensor: PlacedTensor) -> int:
        """Blocks of the run that a word of a tensor holds."""
        return tensor.layout.lanes // (self.emitter.architecture.lanes * part_count(self.width))

    def view(self, *sources: PlacedTensor) -> PlacedTensor:
        """The output in blocks of the run, as many as are needed.

        ``sources`` are read block by block, as the residual is.
        """
        residual = () if self.residual is None else (self.residual,)
        lanes = self.emitter.architecture.lanes
        return run_output(self.output, lanes, self.width, (*residual, *sources))

    def outputs(self, tile: Tile, output: PlacedTensor, residual: PlacedTensor | None) -> None:
        """Set up members, output and residual."""
        emitter = self.emitter
        emitter.set(Opcode.MEMBERS, last_level=0, count=1)
        emitter.walk(Nest.OUTPUT, walk_of(tile, output, self.ratio(output)))
        if residual is not None:
            emitter.walk(Nest.RESIDUAL, walk_of(tile, residual, self.ratio(residual)))

    def parameters(self, bias: np.ndarray, shift: np.ndarray, keys: np.ndarray) -> int:
        """Append parameter words; the address of the first."""
        place_bits = self.emitter.architecture.accumulator_bits // PARTS
        words = pack_split_parameters(place_bits, self.width, bias, shift, keys)
        return self.emitter.add_parameters(words)

    def settings(self) -> None:
        """Widths and limits."""
        emitter, layer = self.emitter, self.layer
        of_residual = self.residual or self.source
        emitter.set(
            Opcode.WIDTHS,
            run=self.width,
            activation=width_code(self.source.format.bits),
            residual=width_code(of_residual.format.bits),
            output=width_code(self.output.format.bits),
            operation=Operation.MAXIMUM,
        )
        emitter.set(Opcode.LIMIT, upper=0, value=layer.low)
        emitter.set(Opcode.LIMIT, upper=1, value=layer.high)

    def rounding(self, offset: int, tile: Tile, width: int) -> None:
        """Post-processing of a tile: ``offset`` is the shift less that of the residual, ``width``
        that of the map."""
        layer, residual = self.layer, self.residual
        stochastic = layer.rounding == "stochastic"
        position = tile.row * width + tile.column
        seed = int(lfsr_states(layer.seed, position + 1)[position]) if stochastic else 0
        self.emitter.set(
            Opcode.REQUANTIZE,
            residual=int(residual is not None),
            residual_signed=int(residual is not None and residual.format.signed),
            offset=offset,
            stochastic=int(stochastic),
            seed=seed,
        )

    def check(self, shifts: np.ndarray, sums: Limits, totals: Limits, offset: int) -> None:
        """Refuse shifts and sums that the run's parts do not hold.

        ``sums`` are what accumulators hold, ``totals`` what is requantized but for the residual.
        Errors: :class:`NoMulError`.
        """
        name, place_bits = self.layer.name, self.emitter.architecture.accumulator_bits // PARTS
        codes = width_bits(self.width)
        bits = total_bits(place_bits, self.width)
        # Noise as large as the total must not leave the lanes.
        largest = min(bits, 1 << (SHIFT_BITS if self.width else SHIFT_BITS - 1)) - 1
        least, most = int(shifts.min()), int(shifts.max())
        if least < 0 or most > largest:
            raise NoMulError(
                f"layer {name}: shifts of {least} .. {most} are outside 0 .. {largest}, which "
                f"{codes}-bit parts have; calibrate again, the scales of its tensors lie too far "
                f"apart, or quantize the layer with more bits"
            )
        low, high = totals
        if self.residual is not None:
            below, above = self.emitter.limits[self.layer.inputs[1]]
            left = most - offset
            low, high = low + min(below << left, 0), high + max(above << left, 0)
        for (least, most), room, what in (
            (sums, min(sum_bits(place_bits, self.width), 63), "accumulators"),
            ((low, high), bits, "requantization"),
        ):
            need = max(int(most).bit_length(), int(-least - 1).bit_length()) + 1
            if need > room:
                raise NoMulError(
                    f"layer {name}: sums reach {least} .. {most}, which takes {need} bits, "
                    f"{what} of {codes}-bit codes have {room}; raise place_bits, or quantize with "
                    f"fewer bits or at a larger width"
                )


def lower_split(emitter: Emitter, layer: QLayer, mapper: Mapper) -> None:
    """Emit the runs of a layer; those of a convolution are the mapper's.

    Errors: :class:`NoMulError` that names the layer where the machine cannot do it.
    """
    if isinstance(layer, QConv):
        convolution(emitter, layer, mapper)
    else:
        LOWERINGS[type(layer)](emitter, layer)


def convolution(emitter: Emitter, layer: QConv, mapper: Mapper) -> None:
    """On the engine: weights, parameters, and a run for each tile."""
    architecture = emitter.architecture
    place = Place.of(emitter, layer)
    view, residual = place.view(), place.residual
    offset = int(layer.shift[0]) - int(layer.residual_shift[0]) if residual is not None else 0
    # The accumulators hold the sums without their bias, which is as wide as they.
    source = emitter.limits[layer.inputs[0]]
    alone = convolution_limits(replace(layer, bias=0 * layer.bias), source)
    biases = int(layer.bias.min()), int(layer.bias.max())
    sums = min(alone[0], biases[0]), max(alone[1], biases[1])
    place.check(layer.shift, sums, convolution_limits(layer, source), offset)

    mapped = mapper(
        architecture,
        Convolution(
            layer.name, layer.weight, layer.window, layer.groups, place.source, view, residual
        ),
    )
    lanes = view.layout.lanes
    bias, shift = (view.layout.spread(v).reshape(-1, lanes) for v in (layer.bias, layer.shift))
    first_parameter = place.parameters(bias, shift, first_keys(view.layout))
    first_weight = emitter.add_weights(mapped.weights)
    settings = engines.find(architecture.engine).Settings
    output = replace(place.output, shape=mapped.output.shape)
    place.settings()
    for run in mapped.runs:
        place.rounding(offset, run.tile, output.shape[2])
        emitter.activations(run.activations, run.vector, mapped.input)
        emitter.walk(Nest.WEIGHT, Walk(run.weights.levels, run.weights.address + first_weight))
        emitter.walk(Nest.SUM, run.sums)
        emitter.walk(Nest.PARAMETER, run.tile.parameters(first_parameter))
        emitter.set(Opcode.ENGINE, settings=encode_fields(settings, run.settings))
        place.outputs(run.tile, output, mapped.residual)
        emitter.run(Path.ENGINE, place.source.format.signed, run.passes, run.tile.outputs)


def max_pool(emitter: Emitter, layer: QMaxPool) -> None:
    """The largest of each window."""
    check_windows(layer, emitter.tensors[layer.inputs[0]].shape)
    elementwise(Place.of(emitter, layer), layer.window, 0, 0)


def add(emitter: Emitter, layer: QAdd) -> None:
    """One input past the engine, the other as the residual.

    The first has the finer fraction, and so a left shift of 0.
    """
    # A shift to the left of both and one to the right of their sum cancel.
    both = layer.shifts[0]
    shift, residual_shift = layer.shift - both, layer.shifts[1] - both
    elementwise(Place.of(emitter, layer), Window(), shift, shift - residual_shift)


def requantize(emitter: Emitter, layer: QRequantize) -> None:
    """A copy whose codes are shifted to the right and clipped."""
    elementwise(Place.of(emitter, layer), Window(), layer.shift - layer.left, 0)


def elementwise(place: Place, window: Window, shift: int, offset: int) -> None:
    """Runs past the engine in which each output is the largest code of its window, shifted."""
    emitter, layer, source = place.emitter, place.layer, place.source
    limits = emitter.limits[layer.inputs[0]]
    place.check(np.array([shift]), limits, limits, offset)
    view = place.view(source)
    blocks = view.layout.blocks
    of_word = min(place.ratio(source), blocks)
    words = Level(blocks // of_word, 1, column=1)
    parameters = uniform_parameters(place, view, shift)
    for tile, block in windows(window, source, view, 1, 1):
        # Without a window level 2 says which of a word's codes are loaded.
        positions = (*block.levels[2:], Level(of_word)) if window == Window() else block.levels
        walk = replace(block, levels=(*positions, words))
        bypass(place, walk, window.positions, tile, parameter_walk(tile, parameters), offset)


def upsample(emitter: Emitter, layer: QUpsample) -> None:
    """Every word ``factor`` times: loops that do not move the address."""
    place = Place.of(emitter, layer)
    view = place.view(place.source)
    limits = emitter.limits[layer.inputs[0]]
    place.check(np.zeros(1, np.int64), limits, limits, 0)
    parameters = uniform_parameters(place, view, 0)
    for tile, walk in enlargements(layer, place.source, view, 1):
        bypass(place, walk, 1, tile, parameter_walk(tile, parameters), 0)


def bypass(
    place: Place, activations: Walk, window: int, tile: Tile, parameters: Walk, offset: int
) -> None:
    """A run past the engine that makes a tile of a layer's output."""
    emitter = place.emitter
    place.settings()
    place.rounding(offset, tile, place.output.shape[2])
    emitter.activations(activations, Vector(1, 0), place.source)
    emitter.walk(Nest.SUM, Walk((Level(1), Level(window), Level(1), Level(tile.words))))
    emitter.walk(Nest.PARAMETER, parameters)
    place.outputs(tile, place.output, place.residual)
    emitter.run(Path.BYPASS, place.source.format.signed, (0,), tile.outputs)


def uniform_parameters(place: Place, view: PlacedTensor, shift: int) -> tuple[int, int]:
    """Address of parameters without bias that shift all channels alike, and the step from a block
    to the next: 0 but where each has a key of its own."""
    emitter, lanes = place.emitter, view.layout.lanes
    if place.layer.rounding == "stochastic":
        keys = first_keys(view.layout)
        each = np.ones((len(keys), lanes), np.int64)
        return place.parameters(0 * each, shift * each, keys), 1
    key = shift * 4 + place.width
    if key not in emitter.shifts:
        each = np.ones((1, lanes), np.int64)
        emitter.shifts[key] = place.parameters(0 * each, shift * each, np.zeros(1, np.int64))
    return emitter.shifts[key], 0


def parameter_walk(tile: Tile, parameters: tuple[int, int]) -> Walk:
    """Parameters of every word of a tile; level 2 begins with each block."""
    address, step = parameters
    positions = Level(tile.rows * tile.columns)
    return Walk((Level(1), Level(1), positions, Level(tile.blocks, step)), address)


LOWERINGS: dict[type[QLayer], Callable] = {
    QMaxPool: max_pool,
    QAdd: add,
    QUpsample: upsample,
    QRequantize: requantize,
}
