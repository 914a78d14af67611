"""Networks without weights: a quantized graph that has a float graph's shapes and nothing else.

Cycles hang on shapes, and on how many passes a layer's weights take. So calibration, quantization
and weights can be left out; what an outline computes means nothing.
"""

import numpy as np

from quant.fusion import Step, fuse
from quant.graph import Conv, Graph, Shape
from quant.lower import lower_step
from quant.numbers import Format
from quant.quantized import QConv, QLayer, QuantizedGraph

__all__ = ["outline"]


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


def convolution(step: Step, conv: Conv, codes: Format) -> QConv:
    """The convolution of a step."""
    shape: Shape = conv.shape
    each = np.broadcast_to(np.int32(0), shape[:1])
    positions = np.arange(conv.window.positions, dtype=np.int32).reshape(conv.window.kernel)
    return QConv(
        name=step.name,
        inputs=step.inputs,
        shape=shape,
        format=codes,
        low=codes.low,
        high=codes.high,
        weight=np.broadcast_to(positions, conv.weight.shape),
        weight_fraction=each,
        bias=each.astype(np.int64),
        shift=each,
        residual_shift=each,
        window=conv.window,
        groups=conv.groups,
        scheme="",
    )
