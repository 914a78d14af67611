"""From a graph to steps: which layers run, and which tensors stand inside others.

* A concatenation is free where its inputs can be made in place, as parts of its buffer; an input
  that cannot (it already stands elsewhere, occurs twice, or would have to be clipped) is copied.
* Elementwise layers keep the layout of their input; a convolution takes its residual's. An
  addition of tensors with different layouts becomes a 1x1 convolution with a residual.
* Average pooling, and a shift to the left, become depthwise convolutions.
* An image that only a convolution reads is stored unfolded where the engine's mapping wants it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from compiler import rewrite
from compiler.layout import FOLDED, Layout, Layouts, Unfolding
from compiler.memory import Buffer
from quant.graph import Shape
from quant.numbers import Format
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConcat,
    QConv,
    QLayer,
    QRequantize,
    QuantizedGraph,
)

__all__ = ["Prepared", "Step", "Tensor", "prepare"]


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor before it has its place: codes lie in ``low .. high``."""

    name: str
    shape: Shape
    format: Format
    low: int
    high: int
    layout: Layout
    unfolding: Unfolding = FOLDED


@dataclass(frozen=True)
class Step:
    """A layer to run, and the index of the graph's layer that it belongs to."""

    layer: QLayer
    owner: int


@dataclass
class Prepared:
    """Steps in order, all tensors, and the place of those that are parts of others.

    Parameters
    ----------
    tensors : dict of name to Tensor
    steps : list of Step
    parents : dict of name to (name, block)
        The tensor that holds a tensor, and the first of its blocks there.
    odd : set of name
        Buffers, which are the tensors without a parent, whose pitch must be odd.
    uses : dict of name to list of int
        Times at which a buffer is written or read: 0 is the input's, ``k + 1`` that of step ``k``.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    parents: dict[str, tuple[str, int]] = field(default_factory=dict)
    odd: set[str] = field(default_factory=set)
    uses: dict[str, list[int]] = field(default_factory=dict)

    def resolve(self, name: str) -> tuple[str, int]:
        """The buffer that a tensor stands in, and its first block there."""
        block = 0
        while name in self.parents:
            name, offset = self.parents[name]
            block += offset
        return name, block

    def use(self, name: str, time: int) -> None:
        """A tensor is written or read."""
        self.uses.setdefault(self.resolve(name)[0], []).append(time)

    def pitch(self, buffer: str) -> int:
        """Words from a column of a buffer to the next."""
        blocks = self.tensors[buffer].layout.blocks
        return blocks | 1 if buffer in self.odd else blocks

    def add_step(self, layer: QLayer, owner: int) -> None:
        """Append a step."""
        self.steps.append(Step(layer, owner))
        for name in (*layer.inputs, layer.name):
            self.use(name, len(self.steps))

    def add_copy(
        self, source: str, name: str, owner: int, limits: tuple[int, int] | None = None
    ) -> str:
        """Append a step that copies a tensor; its name."""
        tensor = self.tensors[source]
        low, high = limits or (tensor.low, tensor.high)
        self.tensors[name] = Tensor(name, tensor.shape, tensor.format, low, high, tensor.layout)
        copy = QRequantize(name, (source,), tensor.shape, tensor.format, low, high, 0, 0)
        self.add_step(copy, owner)
        return name

    def buffers(self) -> list[Buffer]:
        """All buffers with the times of their use."""
        result = []
        for name, times in self.uses.items():
            tensor = self.tensors[name]
            _, height, width = tensor.unfolding.shape(tensor.shape)
            words = height * width * self.pitch(name)
            result.append(Buffer(name, words, min(times), max(times)))
        return result


def prepare(
    graph: QuantizedGraph,
    lanes: int,
    layouts: Layouts,
    vector_words: int,
    unfolding_of: Callable[[QConv, int, int], Unfolding],
) -> Prepared:
    """Steps, layouts and shared places of a graph's tensors.

    ``layouts`` are the machine's, ``unfolding_of`` is the engine's mapping's.
    """
    result = Prepared()
    fmt = graph.input_format
    reader = input_reader(graph)
    unfolding = FOLDED if reader is None else unfolding_of(reader, lanes, vector_words)
    result.tensors[graph.input] = Tensor(
        graph.input,
        graph.input_shape,
        fmt,
        fmt.low,
        fmt.high,
        layouts.usual(unfolding.shape(graph.input_shape)[0], fmt),
        unfolding,
    )
    layers = []
    for layer in graph.layers:
        layer, layout = with_layout(layer, result.tensors, layouts)
        layers.append(layer)
        result.tensors[layer.name] = Tensor(
            layer.name, layer.shape, layer.format, layer.low, layer.high, layout
        )
    copies = place_concatenations(result, layers)
    result.use(graph.input, 0)
    for owner, layer in enumerate(layers):
        if not isinstance(layer, QConcat):
            result.add_step(layer, owner)
            continue
        for source, block in copies[layer.name]:
            name = f"{layer.name}/block {block}"
            result.parents[name] = (layer.name, block)
            result.add_copy(source, name, owner, (layer.low, layer.high))
        result.use(layer.name, len(result.steps))
    result.use(graph.output, len(result.steps) + 1)
    if vector_words > 1:
        result.odd = {
            result.resolve(layer.inputs[0])[0]
            for layer in layers
            if isinstance(layer, QConv) and layer.groups > 1 and layer.window.kernel[1] > 1
        }
    return result


def input_reader(graph: QuantizedGraph) -> QConv | None:
    """The convolution that is all that reads the image, if there is one."""
    readers = [layer for layer in graph.layers if graph.input in layer.inputs]
    if len(readers) != 1 or graph.output == graph.input:
        return None
    reader = readers[0]
    if not isinstance(reader, QConv) or reader.inputs.count(graph.input) != 1:
        return None
    return reader if reader.inputs[0] == graph.input else None


def with_layout(
    layer: QLayer, tensors: dict[str, Tensor], layouts: Layouts
) -> tuple[QLayer, Layout]:
    """A layer as it will run, and the layout of its output."""
    present = [tensors[name].layout for name in layer.inputs]

    def like(index: int) -> Layout:
        """An input's layout, for codes of the layer's format."""
        return layouts.like(tensors[layer.inputs[index]].layout, layer.format)

    if isinstance(layer, QConcat):
        return layer, Layout.concatenate(present)
    if isinstance(layer, QAvgPool):
        return rewrite.pool_as_convolution(layer), like(0)
    if isinstance(layer, QRequantize) and layer.left > layer.shift:
        left = layer.left - layer.shift
        return rewrite.requantize_as_convolution(layer, left), like(0)
    if isinstance(layer, QAdd):
        layer = finer_first(layer)
        if like(0) != like(1):
            layer = rewrite.add_as_convolution(layer)
            return layer, like(1)
    if isinstance(layer, QConv):
        unfolding = tensors[layer.inputs[0]].unfolding
        if unfolding != FOLDED:
            layer = rewrite.unfold_convolution(layer, unfolding)
        if len(layer.inputs) > 1:
            return layer, like(1)
        channels = layer.shape[0]
        if layer.groups == channels == present[0].channels:
            return layer, like(0)
        return layer, layouts.usual(channels, layer.format)
    return layer, like(0)


def finer_first(layer: QAdd) -> QAdd:
    """The operand with the smaller left shift first: the other is the residual."""
    if layer.shifts[0] <= layer.shifts[1]:
        return layer
    return dataclasses.replace(layer, inputs=layer.inputs[::-1], shifts=layer.shifts[::-1])


def place_concatenations(
    prepared: Prepared, layers: list[QLayer]
) -> dict[str, list[tuple[str, int]]]:
    """Give inputs of concatenations their place in the output, the last concatenation first.

    So a concatenation whose parts are already side by side in a later one needs no place of its
    own. Returns, for each concatenation, the inputs that must be copied and their first block.
    """
    concatenations = {layer.name: layer for layer in layers if isinstance(layer, QConcat)}
    parents = prepared.parents
    copies: dict[str, list[tuple[str, int]]] = {}
    for layer in reversed(concatenations.values()):
        copies[layer.name] = []
        found = parts_place(prepared, concatenations, layer)
        if found and layer.name not in parents:
            parents[layer.name] = found
            continue
        for name, offset, clipped in parts(prepared, layer):
            if clipped or name in parents:
                copies[layer.name].append((name, offset))
            else:
                parents[name] = (layer.name, offset)
    return copies


def parts(prepared: Prepared, layer: QConcat) -> list[tuple[str, int, bool]]:
    """Inputs of a concatenation: name, first block, and whether they are clipped."""
    result, offset = [], 0
    for name in layer.inputs:
        tensor = prepared.tensors[name]
        clipped = tensor.low < layer.low or tensor.high > layer.high
        result.append((name, offset, clipped))
        offset += tensor.layout.blocks
    return result


def parts_place(
    prepared: Prepared, concatenations: dict[str, QConcat], layer: QConcat
) -> tuple[str, int] | None:
    """Where the inputs already stand side by side, unclipped and in order, if they do."""
    places = set()
    for name, offset, clipped in parts(prepared, layer):
        if name in prepared.parents:
            place: tuple[str, int] | None = prepared.resolve(name)
        elif name in concatenations:
            place = parts_place(prepared, concatenations, concatenations[name])
        else:
            place = None
        if place is None or clipped:
            return None
        places.add((place[0], place[1] - offset))
    return places.pop() if len(places) == 1 else None
