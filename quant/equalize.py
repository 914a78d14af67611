"""Tensors scaled so that their values fill codes whose steps are powers of two.

A network of convolutions, additions, poolings and clips computes the same when a tensor is made
``s`` times as large and what reads it divides by ``s``. So a tensor can have any step at all:
convolutions take the factor into their weights, and all other layers hand it on.

Source: Nagel et al., "Data-free quantization through weight equalization and bias correction",
ICCV 2019, which scales channels to make weights alike; here whole tensors meet a radix point.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from quant.calibrate import Observations, mse, rounding_error
from quant.errors import NoMulError
from quant.formats import FormatPlan
from quant.graph import Clip, Conv, Graph, Layer
from quant.histogram import Histogram
from quant.mixed import MixedScheme
from quant.schemes import Scheme

__all__ = ["equalize"]

CHOICES = 16
"""Factors that are tried, evenly in an octave: the radix point has the octaves."""


def equalize(graph: Graph, observed: Observations, scheme: Scheme) -> Graph:
    """The network with scaled tensors, which computes the same.

    Input and output stay as they are, and so do all tensors tied to them. Of tensors that must
    have one factor the mean squared errors of their codes, each relative to its tensor, add up
    least.

    Parameters
    ----------
    graph : Graph
    observed : Observations
        Of the network as it is; the scaled one has to be observed anew.
    scheme : Scheme
        Says how many bits activations have.

    Errors: :class:`NoMulError` for a scheme whose codes are logarithmic or have given fractions.
    """
    plan = FormatPlan(graph, observed, mse, MixedScheme(scheme))
    for codes in map(scheme.activations_of, plan.free):
        if codes.logarithmic or codes.fraction is not None:
            raise NoMulError(
                f"{scheme.name} has logarithmic codes or fixed radix points, which tensors cannot "
                f"be scaled to; leave out the equalization"
            )
    factors = dict.fromkeys([graph.input, *(layer.name for layer in graph.layers)], 1.0)
    for tied in ties(graph):
        if graph.input not in tied and graph.output not in tied:
            free = [name for name in plan.free if name in tied]
            factors |= dict.fromkeys(tied, best_factor(plan, free))
    return replace(graph, layers=tuple(scaled(layer, factors) for layer in graph.layers))


def ties(graph: Graph) -> list[set[str]]:
    """Tensors that must have one factor: those of layers that are no convolutions."""
    groups = {name: {name} for name in (graph.input, *(layer.name for layer in graph.layers))}
    for layer in graph.layers:
        if not isinstance(layer, Conv):
            joined = set().union(*(groups[name] for name in (layer.name, *layer.inputs)))
            groups |= dict.fromkeys(joined, joined)
    return list({id(group): group for group in groups.values()}.values())


def best_factor(plan: FormatPlan, tensors: Collection[str]) -> float:
    """From 1 to below 2; 1 where no tensor has a format of its own."""

    def cost(factor: float) -> float:
        histograms = plan.observed.histograms
        return sum(
            relative_error(histograms[name], plan.wish(name).bits, factor) for name in tensors
        )

    return min((2 ** (n / CHOICES) for n in range(CHOICES)), key=cost)


def relative_error(histogram: Histogram, bits: int, factor: float) -> float:
    """Squared error over squares of a tensor ``factor`` times as large, at its best radix point."""
    edges = histogram.edges
    energy = float((histogram.positive + histogram.negative) @ np.diff(edges**3 / 3))
    if energy == 0:
        return 0.0
    high = (1 << bits - histogram.signed) - 1
    low = -high - 1 if histogram.signed else 0
    start = mse(histogram, bits)
    # Up to twice as large it needs the same fraction or one less; its best is but nearly mse's.
    errors = (
        rounding_error(histogram, 2.0**-fraction / factor, low, high)
        for fraction in (start - 1, start, start + 1)
    )
    return min(errors) / energy


def scaled(layer: Layer, factors: dict[str, float]) -> Layer:
    """The layer that makes its tensor times the tensor's factor of inputs times theirs."""
    made = factors[layer.name]
    if isinstance(layer, Conv):
        weight = layer.weight * np.float32(made / factors[layer.inputs[0]])
        return replace(layer, weight=weight, bias=layer.bias * np.float32(made))
    if isinstance(layer, Clip):
        return replace(layer, low=layer.low * made, high=layer.high * made)
    return layer
