"""Figures of single layers: what quantization cost each."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quant.floating import run_float
from quant.graph import Graph, Shape
from quant.numbers import count_terms, dequantize
from quant.quantized import QConv, QLayer, QuantizedGraph
from quant.reference import quantize_input, run_reference
from quant.widths import layer_width

__all__ = [
    "QuantizedRow",
    "decibels",
    "energies",
    "kind",
    "quantized_rows",
    "shape_text",
    "sqnr",
]


def kind(layer: QLayer) -> str:
    """What a layer is, in a word or two.

    A convolution that covers its whole input is a linear layer, one with a group a channel is
    depthwise.
    """
    if not isinstance(layer, QConv):
        return type(layer).__name__.removeprefix("Q").lower()
    rows, columns = layer.window.kernel
    name = f"conv {rows}x{columns}"
    if layer.shape[1:] == (1, 1) and not any(layer.window.padding):
        name = "linear"
    elif layer.groups > 1:
        name = f"depthwise {rows}x{columns}" if layer.weight.shape[1] == 1 else f"{name} grouped"
    return f"{name} +add" if len(layer.inputs) == 2 else name


def shape_text(shape: Shape) -> str:
    """Channels, height, width.

    >>> shape_text((3, 32, 32))
    '3x32x32'
    """
    return "x".join(map(str, shape))


def sqnr(exact: np.ndarray, found: np.ndarray) -> float:
    """Signal to quantization noise in dB: ``10 log10(sum(exact**2) / sum((exact - found)**2))``.

    >>> round(sqnr(np.array([1.0, 1.0]), np.array([1.1, 0.9])), 6)
    20.0
    """
    return decibels(energies(exact, found))


def energies(exact: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Energy of the signal and of the noise, float64 (2,): those of parts of a tensor add up."""
    noise = np.square(exact - found, dtype=np.float64).sum()
    return np.array([np.square(exact, dtype=np.float64).sum(), noise])


def decibels(energy: np.ndarray) -> float:
    """Signal to noise of :func:`energies` in dB, infinite without noise or without signal."""
    signal, noise = map(float, energy)
    if noise == 0:
        return float("inf")
    return 10 * float(np.log10(signal / noise)) if signal else float("-inf")


@dataclass(frozen=True)
class QuantizedRow:
    """One layer after quantization.

    Parameters
    ----------
    name, kind, shape : str
    weights : int or None
        Number of weights; None for layers without any.
    weight_bits : int or None
        Of the widest weight, with its sign.
    terms : float or None
        Mean number of powers of two that a weight is a sum of.
    width : int
        At which the layer runs on a machine of several widths.
    fraction : int
        Of the output: its step is ``2**-fraction``.
    sqnr : float or None
        Of the output against the float graph; None where that has no such tensor.
    """

    name: str
    kind: str
    shape: str
    weights: int | None
    weight_bits: int | None
    terms: float | None
    width: int
    fraction: int
    sqnr: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def quantized_rows(graph: Graph, qgraph: QuantizedGraph, x: np.ndarray) -> list[QuantizedRow]:
    """Every layer of a quantized graph beside the float graph it was made from.

    Parameters
    ----------
    x : float32 (count, channels, height, width)
        What SQNR is measured on.
    """
    floats = {layer.name for layer in graph.layers}
    shared = [layer.name for layer in qgraph.layers if layer.name in floats]
    exact = run_float(graph, x, keep=shared)
    codes = run_reference(qgraph, quantize_input(qgraph, x), keep=shared)
    rows = []
    for layer in qgraph.layers:
        weights = layer.weight if isinstance(layer, QConv) else None
        found = codes.get(layer.name)
        rows.append(
            QuantizedRow(
                layer.name,
                kind(layer),
                shape_text(layer.shape),
                None if weights is None else weights.size,
                None if weights is None else int(np.abs(weights).max()).bit_length() + 1,
                None if weights is None else float(count_terms(weights).mean()),
                layer_width(qgraph, layer),
                layer.format.fraction,
                None
                if found is None
                else sqnr(exact[layer.name], dequantize(found, layer.format.fraction)),
            )
        )
    return rows
