"""The trained network with rounded activations, in floating point: what its integers must equal.

Weights are those that training left, not the codes of the quantized graph; of this only the formats
of its tensors are taken, and the biases, into which calibration has put mean errors of activations.
"""

from dataclasses import replace

import numpy as np
import torch

from quant.alone import float_conv
from quant.floating import run_layer
from quant.graph import Conv, Graph
from quant.numbers import Format
from quant.quantized import QConv, QuantizedGraph

__all__ = ["evaluate"]


def evaluate(graph: Graph, qgraph: QuantizedGraph, x: np.ndarray, batch: int = 100) -> np.ndarray:
    """Outputs, float64 (images, outputs), of a network whose weights are one term each.

    Parameters
    ----------
    graph : Graph
        Imported from the trained network; without concatenations, whose inputs are rounded twice.
    qgraph : QuantizedGraph
        Made from it by a scheme that takes weights as they are.
    x : float32 (images, channels, rows, columns)
    batch : int
        Images at a time.

    float64 holds every product and sum exactly, so only the rounding of activations is left.
    """
    made = {layer.name: layer for layer in qgraph.layers}
    biases = {
        float_conv(graph, qgraph, layer).name: np.ldexp(
            layer.bias.astype(np.float64),
            -(qgraph.format_of(layer.inputs[0]).fraction + layer.weight_fraction),
        )
        for layer in qgraph.layers
        if isinstance(layer, QConv)
    }
    layers = [
        replace(layer, weight=layer.weight.astype(np.float64), bias=biases[layer.name])
        if isinstance(layer, Conv)
        else layer
        for layer in graph.layers
    ]
    outputs = []
    with torch.inference_mode():
        for start in range(0, len(x), batch):
            first = torch.from_numpy(x[start : start + batch].astype(np.float64))
            tensors = {graph.input: _round(first, qgraph.input_format)}
            for layer in layers:
                value = run_layer(layer, [tensors[name] for name in layer.inputs])
                if layer.name in made:
                    value = _round(value, made[layer.name].format)
                tensors[layer.name] = value
            outputs.append(tensors[graph.output].flatten(1).numpy())
    return np.concatenate(outputs)


def _round(values: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Nearest values of a format, ties to even, saturated."""
    return (values / fmt.step).round().clamp(fmt.low, fmt.high) * fmt.step
