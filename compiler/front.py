"""What comes before any plan: checks, layouts and steps of a network for a machine."""

from compiler import mapping
from compiler.layout import Layouts
from compiler.prepare import Prepared, prepare
from compiler.split import SplitLayouts, width_code
from compiler.widths import check_sum, convolution_limits
from quant.errors import NoMulError
from quant.quantized import QConv, QuantizedGraph
from rtl.architecture import Architecture
from rtl.isa import LAYOUTS, Opcode
from rtl.split.parts import part_count

__all__ = ["check_sums", "check_tensors", "prepare_for"]


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


def check_sums(prepared: Prepared, architecture: Architecture) -> None:
    """Refuse a layer whose sums are wider than the accumulators. Errors: :class:`NoMulError`."""
    if architecture.splits:
        return  # a field of sums is divided as its run needs
    for step in prepared.steps:
        if isinstance(step.layer, QConv):
            source = prepared.tensors[step.layer.inputs[0]]
            sums = convolution_limits(step.layer, (source.low, source.high))
            check_sum(step.layer.name, sums, architecture.accumulator_bits)
