"""Quantization schemes side by side: SQNR and top-1 of every layer and of the network."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nomul.images import Images, accuracy
from nomul.layers import decibels, energies
from nomul.output import Report, console, plural, table
from quant.alone import float_conv, outputs_alone, weights_alone
from quant.floating import run_float
from quant.graph import Graph
from quant.numbers import dequantize
from quant.quantize import quantize
from quant.quantized import QConv, QuantizedGraph
from quant.reference import quantize_input, run_reference

__all__ = ["Comparison", "LayerFigures", "SchemeFigures", "compare_schemes", "comparison_table"]

BATCH = 64


@dataclass(frozen=True)
class LayerFigures:
    """One layer with weights under one scheme.

    Parameters
    ----------
    name : str
    weights : int
        Number of weights.
    weight_sqnr, output_sqnr : float
        In dB: of the weights, and of the layer's output in the quantized network.
    top1_alone : float or None
        Of the float network with only this layer's weights quantized, percent; None without labels.
    """

    name: str
    weights: int
    weight_sqnr: float
    output_sqnr: float
    top1_alone: float | None


@dataclass(frozen=True)
class SchemeFigures:
    """A network under one scheme.

    Parameters
    ----------
    scheme : str
    layers : list of LayerFigures
    weight_sqnr, output_sqnr : float
        In dB: of all weights together, and of the network's output.
    top1 : float or None
        Of the quantized network, percent; None without labels.
    """

    scheme: str
    layers: list[LayerFigures]
    weight_sqnr: float
    output_sqnr: float
    top1: float | None


@dataclass(frozen=True)
class Comparison:
    """A network under several schemes.

    Parameters
    ----------
    network : str
    images : int
        Number of test images.
    top1 : float or None
        Of the float network, percent.
    schemes : list of SchemeFigures
    """

    network: str
    images: int
    top1: float | None
    schemes: list[SchemeFigures]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare_schemes(
    graph: Graph,
    schemes: Sequence[str],
    sample: np.ndarray,
    test: Images,
    calibration: str,
    bias_correction: bool,
    progress: Report,
) -> Comparison:
    """Quantize a network by each scheme and measure each layer.

    Parameters
    ----------
    sample : float32 (images, channels, height, width)
        For calibration.
    test : Images
        What everything is measured on.
    progress : function (done, total, label)
    """
    figures = []
    for index, scheme in enumerate(schemes):
        progress(2 * index, 2 * len(schemes), f"quantize to {scheme}")
        qgraph = quantize(graph, sample, scheme, calibration, bias_correction)
        progress(2 * index + 1, 2 * len(schemes), f"measure {scheme}")
        figures.append(_measure(graph, qgraph, sample if bias_correction else None, test))
    progress(2 * len(schemes), 2 * len(schemes), "float network")
    exact = run_float(graph, test.x, keep=[graph.output])[graph.output]
    return Comparison(graph.name, len(test), _top1(exact, test), figures)


def comparison_table(comparison: Comparison) -> None:
    """One row a layer, three columns a scheme; the last row is the network."""

    def lost(top1: float | None) -> str | None:
        if top1 is None or comparison.top1 is None:
            return None
        return f"{comparison.top1 - top1:.2f}"

    schemes = comparison.schemes
    labelled = comparison.top1 is not None
    columns, rows = [], [[layer.name, layer.weights] for layer in schemes[0].layers]
    network: list[Any] = ["network", sum(layer.weights for layer in schemes[0].layers)]
    for figures in schemes:
        columns += [f"{figures.scheme} weights", "output", *(["loss"] if labelled else [])]
        entries = [*((x.weight_sqnr, x.output_sqnr, x.top1_alone) for x in figures.layers)]
        entries.append((figures.weight_sqnr, figures.output_sqnr, figures.top1))
        for row, (weights, output, top1) in zip([*rows, network], entries, strict=True):
            row += [f"{weights:.1f}", f"{output:.1f}", *([lost(top1)] if labelled else [])]
    reached = f", float top-1 {comparison.top1:.2f} %" if labelled else ""
    table(
        f"{comparison.network} on {plural(comparison.images, 'test image')}{reached}",
        ["layer", "weights", *columns],
        [*rows, network],
    )
    console.print("Weights and output: SQNR in dB, the output's in the quantized network.")
    if labelled:
        console.print("Loss: points of top-1, of a layer with its weights alone quantized.")


def _measure(
    graph: Graph, qgraph: QuantizedGraph, sample: np.ndarray | None, test: Images
) -> SchemeFigures:
    layers = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    convs = [float_conv(graph, qgraph, layer) for layer in layers]
    replaced = weights_alone(graph, qgraph, sample)
    names = [layer.name for layer in layers]
    kept = {*names, graph.output}
    energy = {name: np.zeros(2) for name in kept}
    outputs: list[np.ndarray] = []
    alone: list[list[np.ndarray]] = [[] for _ in layers]
    for start in range(0, len(test), BATCH):
        x = test.x[start : start + BATCH]
        exact = run_float(graph, x, keep=kept)
        codes = run_reference(qgraph, quantize_input(qgraph, x), keep=kept)
        for name in kept:
            found = dequantize(codes[name], qgraph.format_of(name).fraction)
            energy[name] += energies(exact[name], found)
            if name == graph.output:
                outputs.append(found.reshape(len(x), -1))
        if test.labels is not None:
            for results, result in zip(alone, outputs_alone(graph, replaced, x), strict=True):
                results.append(result)
    weights = [energies(a.weight, b.weight) for a, b in zip(convs, replaced, strict=True)]
    return SchemeFigures(
        qgraph.scheme,
        [
            LayerFigures(
                layer.name,
                layer.weight.size,
                decibels(own),
                decibels(energy[layer.name]),
                _top1(np.concatenate(results), test) if results else None,
            )
            for layer, own, results in zip(layers, weights, alone, strict=True)
        ],
        decibels(sum(weights, np.zeros(2))),
        decibels(energy[graph.output]),
        _top1(np.concatenate(outputs), test),
    )


def _top1(outputs: np.ndarray, test: Images) -> float | None:
    return accuracy(outputs, test) if test.labels is not None else None
