"""From a graph to steps: which layers run, and which tensors stand inside others.

* A concatenation is free where its inputs can be made in place, as parts of its buffer; an input
  that cannot (it already stands elsewhere, occurs twice, or would have to be clipped) is copied.
* Elementwise layers keep the layout of their input; a convolution takes its residual's. An
  addition of tensors with different layouts becomes a 1x1 convolution with a residual.
* Activations and residual of a run come from different banks; where that cannot be, the residual
  is copied first.
"""

from dataclasses import dataclass, field

import numpy as np

from compiler.layout import Layout
from compiler.memory import Banks, Buffer
from compiler.widths import check_shift
from quant.graph import Shape, Window
from quant.numbers import Format
from quant.quantized import QAdd, QConcat, QConv, QLayer, QRequantize, QuantizedGraph

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

    @property
    def words(self) -> int:
        """Words that it takes."""
        return self.layout.blocks * self.shape[1] * self.shape[2]


@dataclass(frozen=True)
class Step:
    """A layer to run, and the index of the graph's layer that it belongs to."""

    layer: QLayer
    owner: int

    @property
    def residual(self) -> str | None:
        """The tensor that post-processing adds."""
        with_residual = isinstance(self.layer, QConv | QAdd) and len(self.layer.inputs) > 1
        return self.layer.inputs[1] if with_residual else None


@dataclass
class Prepared:
    """Steps in order, all tensors, and the place of those that are parts of others.

    Parameters
    ----------
    tensors : dict of name to Tensor
    steps : list of Step
    parents : dict of name to (name, block)
        The tensor that holds a tensor, and the first of its blocks there.
    banks : Banks
        Demands on the banks of buffers, which are the tensors without a parent.
    uses : dict of name to list of int
        Times at which a buffer is written or read: 0 is the input's, ``k + 1`` that of step ``k``.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    parents: dict[str, tuple[str, int]] = field(default_factory=dict)
    banks: Banks = field(default_factory=Banks)
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

    def add_step(self, layer: QLayer, owner: int) -> None:
        """Append a step, its residual copied first where both operands share a bank."""
        step = Step(layer, owner)
        if step.residual is not None:
            operands = [self.resolve(name)[0] for name in layer.inputs]
            if operands[0] == operands[1] or not self.banks.separate(*operands):
                copied = self.add_copy(step.residual, f"{layer.name}/residual", owner)
                self.banks.separate(operands[0], copied)
                inputs = (layer.inputs[0], copied)
                step = Step(type(layer)(**(vars(layer) | {"inputs": inputs})), owner)
        self.steps.append(step)
        for name in (*step.layer.inputs, step.layer.name):
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
        return [
            Buffer(name, self.tensors[name].words, min(times), max(times))
            for name, times in self.uses.items()
        ]


def prepare(graph: QuantizedGraph, lanes: int) -> Prepared:
    """Steps, layouts and shared places of a graph's tensors."""
    result = Prepared()
    fmt = graph.input_format
    result.tensors[graph.input] = Tensor(
        graph.input,
        graph.input_shape,
        fmt,
        fmt.low,
        fmt.high,
        Layout.default(graph.input_shape[0], lanes),
    )
    layers = []
    for layer in graph.layers:
        layer, layout = with_layout(layer, result.tensors, lanes)
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
    return result


def with_layout(layer: QLayer, tensors: dict[str, Tensor], lanes: int) -> tuple[QLayer, Layout]:
    """A layer as it will run, and the layout of its output."""
    layouts = [tensors[name].layout for name in layer.inputs]
    if isinstance(layer, QConcat):
        return layer, Layout.concatenate(layouts)
    if isinstance(layer, QAdd) and layouts[0] != layouts[1]:
        layer = add_as_convolution(layer)
    if isinstance(layer, QConv):
        return layer, layouts[1] if len(layouts) > 1 else Layout.default(layer.shape[0], lanes)
    return layer, layouts[0]


def add_as_convolution(layer: QAdd) -> QConv:
    """``(a << s0) + (b << s1)`` as a 1x1 convolution of ``a`` with the residual ``b``.

    Errors: :class:`NoMulError` for a left shift that no weight can hold.
    """
    check_shift(layer.name, "left shift", layer.shifts[0])
    channels = layer.shape[0]
    each = np.ones(channels, np.int32)
    return QConv(
        name=layer.name,
        inputs=layer.inputs,
        shape=layer.shape,
        format=layer.format,
        low=layer.low,
        high=layer.high,
        weight=np.eye(channels, dtype=np.int64)[:, :, None, None] << layer.shifts[0],
        weight_fraction=0 * each,
        bias=np.zeros(channels, np.int64),
        shift=layer.shift * each,
        residual_shift=layer.shifts[1] * each,
        window=Window(),
        groups=1,
        scheme="",
    )


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
