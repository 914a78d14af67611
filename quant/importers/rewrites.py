"""Rewrites of a list of layers that leave its results as they are: fewer layers, same numbers."""

from collections import Counter
from dataclasses import replace

import numpy as np

from quant.graph import Clip, Conv, Layer, Window

__all__ = ["simplify"]

POINT = Window()


def simplify(layers: list[Layer], output: str) -> tuple[list[Layer], str]:
    """Remove dead layers and merge neighbours; returns the layers and the output's name.

    Merged are a convolution and a per-channel scale and shift after it (batch norm) or before it
    (unless its padding would have to be shifted too), and two clips in a row.
    """
    layers = live(layers, output)
    while True:
        merge = find_merge(layers, output)
        if merge is None:
            return layers, output
        first, second, merged = merge
        layers = [
            rename_inputs(merged if layer is second else layer, second.name, merged.name)
            for layer in layers
            if layer is not first
        ]
        output = merged.name if output == second.name else output


def live(layers: list[Layer], output: str) -> list[Layer]:
    """The layers that the output depends on."""
    needed = {output}
    for layer in reversed(layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    return [layer for layer in layers if layer.name in needed]


def find_merge(layers: list[Layer], output: str) -> tuple[Layer, Layer, Layer] | None:
    """The first pair of layers, one the only reader of the other, and the layer that is both."""
    reads = Counter(name for layer in layers for name in layer.inputs)
    reads[output] += 1
    producers = {layer.name: layer for layer in layers}
    for second in layers:
        first = producers.get(second.inputs[0])
        if first is not None and reads[first.name] == 1:
            merged = merge_pair(first, second)
            if merged is not None:
                return first, second, merged
    return None


def rename_inputs(layer: Layer, old: str, new: str) -> Layer:
    """The layer with inputs ``new`` in place of ``old``."""
    if old == new or old not in layer.inputs:
        return layer
    return replace(layer, inputs=tuple(new if name == old else name for name in layer.inputs))


def merge_pair(first: Layer, second: Layer) -> Layer | None:
    """One layer that equals ``second`` after ``first``, or None."""
    if isinstance(first, Clip) and isinstance(second, Clip):
        low, high = np.clip((first.low, first.high), second.low, second.high)
        return replace(first, low=float(low), high=float(high))
    if not (isinstance(first, Conv) and isinstance(second, Conv)):
        return None
    if is_scaling(second):
        scale = second.weight.reshape(-1)
        return replace(
            first,
            weight=first.weight * scale.reshape(-1, 1, 1, 1),
            bias=first.bias * scale + second.bias,
        )
    if is_scaling(first) and (not first.bias.any() or not any(second.window.padding)):
        scale = spread(first.weight.reshape(-1), second)
        shift = spread(first.bias, second)
        return replace(
            second,
            inputs=first.inputs,
            weight=second.weight * scale,
            bias=second.bias + (second.weight * shift).sum(axis=(1, 2, 3)),
        )
    return None


def is_scaling(layer: Conv) -> bool:
    """Whether a convolution only scales and shifts every channel on its own."""
    return layer.window == POINT and layer.groups == layer.shape[0] and layer.weight.shape[1] == 1


def spread(values: np.ndarray, layer: Conv) -> np.ndarray:
    """A value per input channel, in the shape of the weights that multiply that channel."""
    outputs, inputs = layer.weight.shape[:2]
    per_group = values.reshape(layer.groups, 1, inputs)
    return np.repeat(per_group, outputs // layer.groups, axis=1).reshape(outputs, inputs, 1, 1)
