"""What quantizing the weights of one layer alone does to a network's output."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from quant.floating import run_layer, to_tensor, visit_float
from quant.graph import Add, Clip, Conv, Graph, Layer
from quant.numbers import dequantize
from quant.quantized import QConv, QuantizedGraph

__all__ = ["float_conv", "outputs_alone", "weights_alone"]


def float_conv(graph: Graph, qgraph: QuantizedGraph, layer: QConv) -> Conv:
    """The convolution of the float graph that a quantized one, of that graph, was made from.

    It is found backwards from the tensor of the same name through the addition and the clips that
    quantization takes into a layer.
    """
    made = {qlayer.name for qlayer in qgraph.layers} - {layer.name}
    makers = {float_layer.name: float_layer for float_layer in graph.layers}
    waiting = [layer.name]
    while waiting:
        maker = makers.get(waiting.pop())
        if isinstance(maker, Conv) and maker.inputs[0] == layer.inputs[0]:
            return maker
        if isinstance(maker, Add | Clip):
            waiting += [name for name in maker.inputs if name not in made]
    raise ValueError(f"{layer.name} was not made from a convolution of {graph.name}")


def weights_alone(graph: Graph, qgraph: QuantizedGraph, sample: np.ndarray | None) -> list[Conv]:
    """The float convolution of each QConv, in their order, with the quantized weights.

    Where ``sample`` is given, float32 (images, channels, height, width), biases take up the mean
    error of their channels on it, as bias correction does; the QConv's own bias takes up errors of
    its inputs too, which do not exist here.
    """
    layers = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    convs = [float_conv(graph, qgraph, layer) for layer in layers]
    weights = [
        dequantize(layer.weight, layer.weight_fraction[:, None, None, None]).astype(np.float32)
        for layer in layers
    ]
    biases = [conv.bias for conv in convs]
    if sample is not None:
        # By tensor: the convolutions that read it, with their weights' errors.
        lost: dict[str, list[tuple[int, Conv]]] = {conv.inputs[0]: [] for conv in convs}
        for index, (conv, weight) in enumerate(zip(convs, weights, strict=True)):
            error = replace(conv, weight=conv.weight - weight, bias=np.zeros_like(conv.bias))
            lost[conv.inputs[0]].append((index, error))
        sums = [np.zeros(len(conv.bias)) for conv in convs]

        def visit(name: str, values: np.ndarray) -> None:
            for index, error in lost.get(name, ()):
                made = run_layer(error, [to_tensor(values)])
                sums[index] += made.mean(dim=(2, 3), dtype=torch.float64).sum(dim=0).numpy()

        visit_float(graph, sample, visit)
        biases = [
            (bias + total / len(sample)).astype(np.float32)
            for bias, total in zip(biases, sums, strict=True)
        ]
    return [
        replace(conv, weight=weight, bias=bias)
        for conv, weight, bias in zip(convs, weights, biases, strict=True)
    ]


def outputs_alone(graph: Graph, convs: list[Conv], x: np.ndarray) -> Iterator[np.ndarray]:
    """Outputs of the float network with one layer at a time replaced, float32 (images, outputs).

    Only what depends on the layer is computed again. ``convs`` bear the names of the layers that
    they stand for. Memory holds every tensor of the batch ``x``.
    """
    with torch.no_grad():
        tensors = {graph.input: to_tensor(x)}
        for layer in graph.layers:
            tensors[layer.name] = _run(layer, tensors)
        for conv in convs:
            changed = {conv.name: _run(conv, tensors)}
            for layer in graph.layers:
                if layer.name != conv.name and not changed.keys().isdisjoint(layer.inputs):
                    changed[layer.name] = _run(layer, tensors | changed)
            yield changed.get(graph.output, tensors[graph.output]).numpy().reshape(len(x), -1)


def _run(layer: Layer, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return run_layer(layer, [tensors[name] for name in layer.inputs])
