"""Scaled networks compute the same, and their codes err less."""

from dataclasses import replace

import numpy as np
import pytest

from quant.calibrate import observe
from quant.equalize import equalize, relative_error, ties
from quant.errors import NoMulError
from quant.floating import run_float
from quant.graph import AvgPool, Clip, Conv
from quant.histogram import Histogram
from quant.numbers import Format, dequantize, quantize
from quant.quantize import quantize as quantize_graph
from quant.reference import predict
from quant.schemes import find_scheme
from tests.quant.test_quantize import Network, images

SCHEME = find_scheme("int8")


def network():
    """Residuals, poolings, a concatenation, groups, and a clip with two borders."""
    net = Network()
    first = net.relu(net.conv("x", 8))
    wide = net.relu(net.add(net.conv(first, 8), first))
    pooled = net.concat(net.pool(wide), net.pool(wide, AvgPool))
    clipped = net.append(Clip, [net.conv(pooled, 8, groups=4)], (8, 4, 4), -1.0, 1.5)
    net.conv(net.upsample(clipped), 4)
    return net.graph()


GRAPH = network()
OBSERVED = observe(GRAPH, images(64))


def test_outputs_are_the_same():
    scaled = equalize(GRAPH, OBSERVED, SCHEME)
    x = images(16, seed=3)
    found, exact = (run_float(graph, x) for graph in (scaled, GRAPH))
    assert np.abs(found[GRAPH.output] - exact[GRAPH.output]).max() < 1e-5
    factors = {name: found[name].std() / values.std() for name, values in exact.items()}
    assert factors["x"] == pytest.approx(1) and factors[GRAPH.output] == pytest.approx(1)
    assert sum(factor > 1.01 for factor in factors.values()) > 3
    for name, factor in factors.items():
        assert 0.999 < factor < 2
        assert np.abs(found[name] - factor * exact[name]).max() < 1e-5
    for tied in ties(GRAPH):
        assert np.ptp([factors[name] for name in tied]) < 1e-5


def test_ties():
    """The pooled and added tensors are one, each other convolution's is tied to its clip alone."""
    makers = {layer.name: layer for layer in GRAPH.layers}
    sizes = sorted(len(tied) for tied in ties(GRAPH))
    assert sum(sizes) == len(makers) + 1
    residual = next(tied for tied in ties(GRAPH) if any("add" in name for name in tied))
    assert sum(isinstance(makers[name], Conv) for name in residual) == 2
    assert {"x"} in ties(GRAPH)


@pytest.mark.parametrize("bits, signed", [(8, True), (8, False), (4, False)])
def test_relative_error_is_that_of_codes(bits, signed):
    values = np.random.default_rng(0).standard_normal(50_000)
    values = values if signed else np.abs(values)
    histogram = Histogram()
    histogram.add(values)

    def measured(factor: float, fraction: int) -> float:
        codes = quantize(factor * values, Format(bits, signed, fraction))
        wrong = dequantize(codes, fraction) - factor * values
        return float((wrong**2).sum() / ((factor * values) ** 2).sum())

    for factor in (1.0, 1.3, 1.9):
        best = min(measured(factor, fraction) for fraction in range(-2, 10))
        assert relative_error(histogram, bits, factor) == pytest.approx(best, rel=0.02)


def test_tensors_of_zeros_stay():
    histogram = Histogram()
    histogram.add(np.zeros(4))
    assert relative_error(histogram, 8, 1.5) == 0
    layers = tuple(
        replace(layer, weight=0 * layer.weight, bias=0 * layer.bias)
        if isinstance(layer, Conv)
        else layer
        for layer in GRAPH.layers
    )
    dead = replace(GRAPH, layers=layers)
    scaled = equalize(dead, observe(dead, images(8)), SCHEME)
    for layer, old in zip(scaled.layers, dead.layers, strict=True):
        if isinstance(layer, Clip):
            assert (layer.low, layer.high) == (old.low, old.high)


def test_codes_err_less():
    """Every tensor by the measure that was looked at, and the outputs of the whole network."""
    scaled = equalize(GRAPH, OBSERVED, SCHEME)
    observed = observe(scaled, images(64))
    x = images(64, seed=5)
    exact = run_float(GRAPH, x, keep=[GRAPH.output])[GRAPH.output].reshape(64, -1)
    before, after = (
        np.linalg.norm(predict(quantize_graph(graph, seen, "int8"), x) - exact)
        for graph, seen in ((GRAPH, OBSERVED), (scaled, observed))
    )
    assert after < before


@pytest.mark.parametrize("scheme", ["int8alog", "int8q5"])
def test_codes_that_no_factor_helps(scheme):
    found = find_scheme(scheme)
    with pytest.raises(NoMulError, match=f"{scheme} has logarithmic codes or fixed radix points"):
        equalize(GRAPH, OBSERVED, found)
