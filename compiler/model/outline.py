"""Networks without weights: a quantized graph that has a float graph's shapes and nothing else.

Cycles hang on shapes, and on how many passes a layer's weights take. So calibration, quantization
and weights can be left out; what an outline computes means nothing.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from quant.fusion import Step, fuse
from quant.graph import Conv, Graph, Shape
from quant.lower import lower_step
from quant.numbers import Format
from quant.quantized import QConv, QLayer, QuantizedGraph

__all__ = ["outline", "packed", "unpacked"]


def outline(graph: Graph, activation_bits: int = 8) -> QuantizedGraph:
    """The layers that quantizing a graph gives, with the fraction 0 everywhere.

    Weights are distinct from one kernel position to the next and take no memory.

    Parameters
    ----------
    graph : Graph
    activation_bits : int
    """
    codes = Format(activation_bits, signed=True, fraction=0)
    layers: list[QLayer] = []
    for step in fuse(graph, lambda tensor: 0):
        if isinstance(step.layer, Conv):
            layers.append(convolution(step, step.layer, codes))
        else:
            layers.append(lower_step(step, [codes] * len(step.inputs), codes))
    return QuantizedGraph(
        name=graph.name,
        input=graph.input,
        input_shape=graph.input_shape,
        input_format=codes,
        layers=tuple(layers),
        output=graph.output,
        scheme="",
    )


def packed(graph: QuantizedGraph) -> QuantizedGraph:
    """An outline with the shape of each weight in its place, small enough to be sent."""
    return with_weights(graph, lambda weight: np.array(weight.shape))


def unpacked(graph: QuantizedGraph) -> QuantizedGraph:
    """The inverse of :func:`packed`."""
    return with_weights(graph, lambda shape: weightless(tuple(shape.tolist())))


def with_weights(
    graph: QuantizedGraph, change: Callable[[np.ndarray], np.ndarray]
) -> QuantizedGraph:
    layers = (
        replace(layer, weight=change(layer.weight)) if isinstance(layer, QConv) else layer
        for layer in graph.layers
    )
    return replace(graph, layers=tuple(layers))


def weightless(shape: tuple[int, ...]) -> np.ndarray:
    """Weights of a shape that take no memory."""
    rows, columns = shape[2:]
    positions = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    return np.broadcast_to(positions, shape)


def convolution(step: Step, conv: Conv, codes: Format) -> QConv:
    """The convolution of a step."""
    shape: Shape = conv.shape
    each = np.broadcast_to(np.int32(0), shape[:1])
    return QConv(
        name=step.name,
        inputs=step.inputs,
        shape=shape,
        format=codes,
        low=codes.low,
        high=codes.high,
        weight=weightless(conv.weight.shape),
        weight_fraction=each,
        bias=each.astype(np.int64),
        shift=each,
        residual_shift=each,
        window=conv.window,
        groups=conv.groups,
        scheme="",
    )
