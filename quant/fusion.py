"""Which float layers become one quantized layer.

* A convolution takes in the residual addition that alone reads it, if its residual fits (see
  :mod:`quant.lower`). Of two such convolutions it is the one whose own codes would be coarser,
  because only the other's are rounded; if they are equal, the later one.
* Every layer takes in the clips that follow it, as long as nothing else reads the tensor between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from quant.graph import Add, Clip, Conv, Graph, Layer

__all__ = ["Step", "fuse"]


@dataclass(frozen=True)
class Step:
    """Float layers that one quantized layer computes.

    Parameters
    ----------
    layer : Layer
        The operation; a clip only where it cannot join the layer before it.
    add : Add, optional
        The residual addition after a convolution.
    clips : tuple of Clip
        All clips after it, in order.
    """

    layer: Layer
    add: Add | None
    clips: tuple[Clip, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The float layers in order."""
        return self.layer, *((self.add,) if self.add else ()), *self.clips

    @property
    def name(self) -> str:
        """The tensor that the step makes: that of its last layer."""
        return self.layers[-1].name

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that the step reads, the residual last."""
        if self.add is None:
            return self.layer.inputs
        return *self.layer.inputs, *(x for x in self.add.inputs if x != self.layer.name)

    @property
    def summed(self) -> str:
        """The tensor before the clips."""
        return (self.add or self.layer).name

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value that the clips leave."""
        low, high = -math.inf, math.inf
        for clip in (layer for layer in self.layers if isinstance(layer, Clip)):
            low, high = (min(max(bound, clip.low), clip.high) for bound in (low, high))
        return low, high

    def split(self) -> tuple["Step", "Step"]:
        """The convolution on its own, then the addition with the clips."""
        assert self.add is not None
        return Step(self.layer, None, ()), Step(self.add, None, self.clips)


def fuse(graph: Graph, fraction: Callable[[str], int]) -> list[Step]:
    """Every layer of the graph in exactly one step, the steps in data order.

    ``fraction`` tells what fraction a tensor's codes would have.
    """
    makers = {layer.name: layer for layer in graph.layers}
    order = {layer.name: index for index, layer in enumerate(graph.layers)}
    adds: dict[str, Add] = {}  # by the convolution that takes it in
    for layer in graph.layers:
        if isinstance(layer, Add):
            convs = [
                name
                for name in layer.inputs
                if isinstance(makers.get(name), Conv) and sole_reader(graph, name) is layer
            ]
            if convs:
                adds[min(convs, key=lambda name: (fraction(name), -order[name]))] = layer
    taken: set[str] = {add.name for add in adds.values()}
    steps = []
    for layer in graph.layers:
        if layer.name in taken:
            continue
        step = Step(layer, adds.get(layer.name), ())
        while isinstance(clip := sole_reader(graph, step.name), Clip):
            step = replace(step, clips=(*step.clips, clip))
            taken.add(clip.name)
        steps.append(step)
    return sorted(steps, key=lambda step: order[step.summed])


def sole_reader(graph: Graph, tensor: str) -> Layer | None:
    """The one layer that reads a tensor once, if nothing else needs it."""
    readers = graph.readers(tensor)
    alone = len(readers) == 1 and readers[0].inputs.count(tensor) == 1
    return readers[0] if alone and tensor != graph.output else None
