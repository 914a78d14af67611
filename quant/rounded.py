"""The float network with some tensors rounded to a format: what quantizing them does to outputs."""

from collections.abc import Callable, Mapping

import torch

from quant.floating import run_layer
from quant.graph import Graph
from quant.numbers import Format

__all__ = ["Finish", "Visit", "rounded", "walk"]

Finish = Callable[[torch.Tensor, Mapping[str, Format]], torch.Tensor]
"""``finish(values, formats)``: the network's output, float32 (images, outputs), if the tensor had
these values, and each one behind it were rounded to its format, if it has one."""

Visit = Callable[[str, torch.Tensor, Finish], torch.Tensor]
"""``visit(tensor, values, finish)``: the values that the network goes on with."""


def walk(graph: Graph, images: torch.Tensor, visit: Visit) -> torch.Tensor:
    """Run the float network, visit every tensor in data order, and return the output.

    Only tensors that are still needed are held.
    """
    tensors: dict[str, torch.Tensor] = {}

    def outputs(known: dict[str, torch.Tensor], first: int, formats: Mapping[str, Format]):
        known = dict(known)
        for layer in graph.layers[first:]:
            values = run_layer(layer, [known[name] for name in layer.inputs])
            fmt = formats.get(layer.name)
            known[layer.name] = values if fmt is None else rounded(values, fmt)
        return known[graph.output].flatten(1)

    with torch.no_grad():
        for index in range(len(graph.layers) + 1):
            layer = graph.layers[index - 1] if index else None
            name = layer.name if layer else graph.input
            values = images
            if layer:
                values = run_layer(layer, [tensors[source] for source in layer.inputs])

            def finish(values, formats, name=name, first=index, known=tensors):
                return outputs({**known, name: values}, first, formats)

            tensors[name] = visit(name, values, finish)
            needed = {source for layer in graph.layers[index:] for source in layer.inputs}
            needed.add(graph.output)
            tensors = {name: tensors[name] for name in tensors if name in needed}
        return tensors[graph.output].flatten(1)


def rounded(values: torch.Tensor, fmt: Format) -> torch.Tensor:
    """The nearest values that a linear format holds, ties to even.

    >>> rounded(torch.tensor([0.3, 0.75, 9.0]), Format(3, False, 1)).tolist()
    [0.5, 1.0, 3.5]
    """
    scale = 2.0**fmt.fraction
    return (values * scale).round().clamp(fmt.low, fmt.high) / scale
