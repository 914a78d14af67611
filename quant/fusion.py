"""Which float layers become one quantized layer.

* A convolution takes in the residual addition that alone reads it, if its residual fits (see
  :mod:`quant.lower`); of two such convolutions the later one.
* Every layer takes in the clips that follow it, as long as nothing else reads the tensor between.
"""

import math
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
    low, high : float
        What all clips after it leave.
    name : str
        The tensor that the step makes: that of its last layer.
    """

    layer: Layer
    add: Add | None
    low: float
    high: float
    name: str

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

    def split(self) -> tuple["Step", "Step"]:
        """The convolution on its own, then the addition with the clips."""
        assert self.add is not None
        return Step(self.layer, None, -math.inf, math.inf, self.layer.name), replace(
            self, layer=self.add, add=None
        )


def fuse(graph: Graph) -> list[Step]:
    """Every layer of the graph in exactly one step, the steps in data order."""
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
                adds[max(convs, key=order.__getitem__)] = layer
    taken: set[str] = {add.name for add in adds.values()}
    steps = []
    for layer in graph.layers:
        if layer.name in taken:
            continue
        add = adds.get(layer.name)
        low, high, name = -math.inf, math.inf, (add or layer).name
        if isinstance(layer, Clip):
            low, high = layer.low, layer.high
        while isinstance(clip := sole_reader(graph, name), Clip):
            low, high = (min(max(bound, clip.low), clip.high) for bound in (low, high))
            name = clip.name
            taken.add(name)
        steps.append(Step(layer, add, low, high, name))
    return sorted(steps, key=lambda step: order[step.summed])


def sole_reader(graph: Graph, tensor: str) -> Layer | None:
    """The one layer that reads a tensor once, if nothing else needs it."""
    readers = graph.readers(tensor)
    alone = len(readers) == 1 and readers[0].inputs.count(tensor) == 1
    return readers[0] if alone and tensor != graph.output else None
