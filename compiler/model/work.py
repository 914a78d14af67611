"""What a network asks of an engine, layer by layer: sizes, and the ways its mapping can go.

Taken from the compiler's own preparation of the network and from its mappings' own readings, so
models have no arithmetic of mappings of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from compiler import mapping
from compiler.front import prepare_for
from compiler.mapping import Convolution, Way
from compiler.prepare import Prepared
from compiler.split import run_output, run_width
from compiler.tensor import PlacedTensor
from quant.graph import Window
from quant.quantized import QAvgPool, QConv, QLayer, QMaxPool, QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["Work", "Workload", "workload"]


@dataclass(frozen=True)
class Work:
    """A step of a network: a layer, or what the compiler makes of it.

    Parameters
    ----------
    owner : str
        The graph's layer that it belongs to.
    channels : int
        Of the output.
    lanes : int
        Channels of a block of the output.
    output, input : (rows, columns, blocks)
        As they stand in memory.
    window : Window
        Of stored rows and columns.
    follows : bool
        Whether a block of outputs reads only the blocks of inputs at its own place.
    residual : bool
    macs : int
        Of the layer as the network has it.
    ways : tuple of Way
        None past the engine.
    copies : int
        Words that a word of sums is the largest of, past the engine.
    """

    owner: str
    channels: int
    lanes: int
    output: tuple[int, int, int]
    input: tuple[int, int, int]
    window: Window
    follows: bool
    residual: bool
    macs: int
    ways: tuple[Way, ...] = ()
    copies: int = 1

    @property
    def flat(self) -> bool:
        """Whether rows do not matter, so that all positions may stand in one row."""
        window = self.window
        return window.kernel == window.stride == (1, 1) and not any(window.padding)

    @cached_property
    def sampled(self) -> "Work":
        """The same where only rows and columns that windows see are on chip.

        So a stride is none along an axis on which windows are one wide.
        """
        window = self.window
        down, across = (1 if k == 1 else s for k, s in zip(window.kernel, window.stride))
        return replace(self, window=replace(window, stride=(down, across)))

    @cached_property
    def shape(self) -> "Work":
        """The same without what no cycle hangs on."""
        return replace(self, owner="", macs=0)


@dataclass(frozen=True)
class Workload:
    """A network on engines of one kind, ``lanes``, ``vector_words``, ``groups`` and ``kernel``.

    Parameters
    ----------
    works : tuple of Work
        In the order in which they run.
    prepared : Prepared
        Where tensors stand in each other, for the plan of the feature memory.
    """

    works: tuple[Work, ...]
    prepared: Prepared


def workload(graph: QuantizedGraph, architecture: Architecture) -> Workload:
    """All steps of a network. Weights are not looked at.

    Errors: :class:`NoMulError` where the compiler refuses a layer.
    """
    engine = mapping.find(architecture.engine)
    prepared = prepare_for(graph, architecture)
    macs = {layer.name: layer.macs for layer in graph.layers if isinstance(layer, QConv)}
    pools = {layer.name for layer in graph.layers if isinstance(layer, QAvgPool)}

    def ways(task: Convolution) -> list[Way]:
        return engine.ways(architecture.engine_config, task, task.name in pools)

    fields = architecture.lanes if architecture.splits else 0
    works = []
    for step in prepared.steps:
        owner = graph.layers[step.owner].name
        works.append(work_of(step.layer, owner, prepared, macs.get(owner, 0), ways, fields))
    return Workload(tuple(works), prepared)


def work_of(
    layer: QLayer,
    owner: str,
    prepared: Prepared,
    macs: int,
    ways: Callable[[Convolution], list[Way]],
    fields: int,
) -> Work:
    """A step; ``ways`` is the engine's mapping's, ``fields`` those of words whose codes split."""
    source, output, *residual = (
        placed(prepared, name) for name in (layer.inputs[0], layer.name, *layer.inputs[1:])
    )
    if fields:
        width = run_width(layer, [source, output, *residual])
        others = residual if isinstance(layer, QConv) else [*residual, source]
        output = run_output(output, fields, width, others)
    window, follows = Window(), True
    found: tuple[Way, ...] = ()
    if isinstance(layer, QConv):
        window = layer.window
        follows = layer.groups > 1 and layer.groups == layer.shape[0]
        added = residual[0] if residual else None
        task = Convolution(layer.name, layer.weight, window, layer.groups, source, output, added)
        found = fewest_steps(ways(task))
    elif isinstance(layer, QMaxPool):
        window = layer.window
    return Work(
        owner=owner,
        channels=layer.shape[0],
        lanes=output.layout.lanes,
        output=(*layer.shape[1:], output.layout.blocks),
        input=(*source.stored[1:], source.layout.blocks),
        window=window,
        follows=follows,
        residual=bool(residual),
        macs=macs,
        ways=found,
        copies=window.positions,
    )


def fewest_steps(ways: list[Way]) -> tuple[Way, ...]:
    """Of ways that differ in their steps only, the one with the fewest."""
    best: dict[Way, Way] = {}
    for way in sorted(ways, key=lambda way: way.steps):
        best.setdefault(replace(way, steps=0), way)
    return tuple(best.values())


def placed(prepared: Prepared, name: str) -> PlacedTensor:
    """A tensor at the address 0."""
    tensor = prepared.tensors[name]
    pitch = prepared.pitch(prepared.resolve(name)[0])
    shape, fmt, layout = tensor.shape, tensor.format, tensor.layout
    return PlacedTensor(name, shape, fmt, 0, layout, pitch, tensor.unfolding)
