"""The compiler: a quantized graph becomes a program for a machine."""

from pathlib import Path

import numpy as np

from compiler import mapping
from compiler.cycles import predict
from compiler.emit import Emitter
from compiler.layout import Layouts
from compiler.lower import Mapper, lower
from compiler.lower_split import lower_split
from compiler.memory import allocate
from compiler.prepare import Prepared, prepare
from compiler.program import LayerRecord, Program
from compiler.split import SplitLayouts, width_code
from compiler.tensor import PlacedTensor
from compiler.widths import check_sum, convolution_limits
from quant.errors import NoMulError
from quant.quantized import QConv, QuantizedGraph
from rtl.architecture import Architecture, load_architecture
from rtl.isa import LAYOUTS, Opcode
from rtl.packing import pieces
from rtl.split.parts import part_count

__all__ = ["check_tensors", "compile", "emit", "prepare_for"]


def compile(graph: QuantizedGraph, architecture: Architecture | str | Path) -> Program:
    """Compile a network for a machine, given as an object, by name or as a TOML file.

    Errors: :class:`NoMulError` naming the layer or memory and the remedy where the machine cannot
    run the network.
    """
    architecture = load_architecture(architecture)
    check_tensors(graph, architecture)
    engine = mapping.find(architecture.engine)
    prepared = prepare_for(graph, architecture)
    for step in prepared.steps:
        if isinstance(step.layer, QConv) and not architecture.splits:
            source = prepared.tensors[step.layer.inputs[0]]
            sums = convolution_limits(step.layer, (source.low, source.high))
            check_sum(step.layer.name, sums, architecture.accumulator_bits)
    emitter, ends = emit(graph, architecture, prepared, engine.map_convolution)
    tensors = emitter.tensors
    cycles = predict(architecture, emitter.instructions)
    layers = [
        LayerRecord(
            name=layer.name,
            kind=type(layer).__name__.removeprefix("Q"),
            inputs=tuple(layer.inputs),
            output=tensors[layer.name],
            first_run=first,
            runs=end - first,
            runs_done=end,
            macs=layer.macs if isinstance(layer, QConv) else 0,
            passes=emitter.passes(owner),
            cycles=cycles.layers.get(owner, 0),
        )
        for owner, (layer, (first, end)) in enumerate(zip(graph.layers, ends))
    ]
    return Program(
        name=graph.name,
        scheme=graph.scheme,
        architecture=architecture,
        instructions=np.array(emitter.instructions, np.uint64),
        weights=image(emitter.weights, architecture.engine_config.weight_bits),
        parameters=image(emitter.parameters, architecture.parameter_bits),
        input=tensors[graph.input],
        output=tensors[graph.output],
        layers=tuple(layers),
        cycles=cycles.total,
    )


def prepare_for(graph: QuantizedGraph, architecture: Architecture) -> Prepared:
    """Steps and layouts as the engine's mapping wants them."""
    unfolding_of = mapping.find(architecture.engine).unfolding_of
    return prepare(
        graph,
        architecture.lanes,
        layouts(graph, architecture),
        architecture.vector_words,
        unfolding_of,
    )


def emit(
    graph: QuantizedGraph, architecture: Architecture, prepared: Prepared, mapper: Mapper
) -> tuple[Emitter, list[tuple[int, int]]]:
    """All instructions and images, and of each layer the first run and that behind its last.

    Errors: as of :func:`compile`.
    """
    limits = {name: (tensor.low, tensor.high) for name, tensor in prepared.tensors.items()}
    emitter = Emitter(architecture, place_tensors(graph, prepared, architecture), limits)
    lowering = lower_split if architecture.splits else lower
    steps = iter(prepared.steps)
    step = next(steps, None)
    ends = []
    for owner, layer in enumerate(graph.layers):
        first = emitter.runs
        while step is not None and step.owner == owner:
            emitter.begin(layer.name, owner)
            lowering(emitter, step.layer, mapper)
            step = next(steps, None)
        ends.append((first, emitter.runs))
    emitter.finish()
    return emitter, ends


def image(parts: list[np.ndarray], bits: int) -> np.ndarray:
    """All parts of a memory's image; without parts an empty one."""
    return np.concatenate([np.zeros((0, pieces(bits)), np.uint32), *parts])


def layouts(graph: QuantizedGraph, architecture: Architecture) -> Layouts:
    """Where the channels of tensors stand."""
    if not architecture.splits:
        return Layouts(architecture.lanes)
    formats = [graph.input_format, *(layer.format for layer in graph.layers)]
    narrowest = min(width_code(fmt.bits) for fmt in formats)
    return SplitLayouts(architecture.lanes, part_count(narrowest))


def check_tensors(graph: QuantizedGraph, architecture: Architecture) -> None:
    """Refuse what no plan could help: codes or maps that are too wide for the machine."""
    largest = (1 << LAYOUTS[Opcode.BOUNDS]["rows"].width) - 1
    for name in [graph.input, *(layer.name for layer in graph.layers)]:
        fmt, (_, height, width) = graph.format_of(name), graph.shape_of(name)
        if fmt.bits > architecture.activation_bits:
            raise NoMulError(
                f"tensor {name} has {fmt.bits}-bit codes, {architecture.name} has activation_bits "
                f"= {architecture.activation_bits}; quantize activations to "
                f"{architecture.activation_bits} bits or raise activation_bits"
            )
        high = graph.input_format.high if name == graph.input else graph.layer(name).high
        if architecture.splits and high >= 1 << 31:
            raise NoMulError(
                f"tensor {name} has codes up to {high}, {architecture.name} takes signed ones of "
                f"32 bits; quantize it with a sign, or to fewer bits"
            )
        if fmt.logarithmic and not architecture.logarithmic:
            raise NoMulError(
                f"tensor {name} has logarithmic codes, {architecture.name} makes none; set "
                f"logarithmic = 1 in the architecture or take another scheme"
            )
        if max(height, width) > largest:
            raise NoMulError(
                f"tensor {name} is {height} x {width}, a machine reads maps of at most {largest} x "
                f"{largest}; use smaller images"
            )


def place_tensors(
    graph: QuantizedGraph, prepared: Prepared, architecture: Architecture
) -> dict[str, PlacedTensor]:
    """All tensors at their addresses.

    Errors: :class:`NoMulError` where the feature memory is too small, with the layer at which most
    of it is in use.
    """
    memory_words = architecture.memory.feature_words
    buffers = prepared.buffers()
    plan = allocate(buffers, memory_words)
    if plan.words > memory_words:
        times = range(len(prepared.steps) + 2)
        in_use = [sum(b.words for b in buffers if b.first <= t <= b.last) for t in times]
        peak = max(times, key=in_use.__getitem__)
        live = ", ".join(b.name for b in buffers if b.first <= peak <= b.last)
        owner = prepared.steps[min(max(peak - 1, 0), len(prepared.steps) - 1)].owner
        raise NoMulError(
            f"feature memory: the network needs {plan.words} words, {architecture.name} has "
            f"{memory_words}; layer {graph.layers[owner].name} has most in use ({in_use[peak]} "
            f"words: {live}); set feature_words = {1 << (plan.words - 1).bit_length()} or use "
            f"smaller images"
        )
    result = {}
    for name, tensor in prepared.tensors.items():
        buffer, block = prepared.resolve(name)
        result[name] = PlacedTensor(
            name,
            tensor.shape,
            tensor.format,
            plan.places[buffer] + block,
            tensor.layout,
            prepared.pitch(buffer),
            tensor.unfolding,
        )
    for placed in result.values():
        check_columns(placed)
    return result


def check_columns(tensor: PlacedTensor) -> None:
    """Refuse a row of more words than a machine counts. Errors: :class:`NoMulError`."""
    largest = (1 << LAYOUTS[Opcode.BOUNDS]["columns"].width) - 1
    words = tensor.stored[2] * tensor.pitch
    if words > largest:
        raise NoMulError(
            f"tensor {tensor.name} has {words} words a row, a machine reads rows of at most "
            f"{largest}; use smaller images or fewer channels"
        )
