"""The second computation of every layer against the reference."""

import numpy as np
import pytest

from nomul.oracle import recompute
from quant.graph import Window
from quant.numbers import Format
from quant.quantize import quantize
from quant.quantized import QConv, QRequantize, QuantizedGraph
from quant.reference import run_layer, run_reference
from quant.rounding import Rounding
from tests.quant.test_quantize import Network, images
from tests.random_networks import random_codes, random_network


def check(graph: QuantizedGraph, codes: np.ndarray) -> None:
    tensors = run_reference(graph, codes)
    for layer in graph.layers:
        found = recompute(layer, [tensors[name] for name in layer.inputs])
        np.testing.assert_array_equal(found, tensors[layer.name])


@pytest.mark.parametrize("rounding", ["even", "stochastic"])
@pytest.mark.parametrize("seed", range(12))
def test_reference_and_oracle_agree(seed, rounding):
    graph = random_network(seed)
    rounds = Rounding(rounding, seed)
    layers = tuple(rounds.apply(layer) for layer in graph.layers)
    fields = ("name", "input", "input_shape", "input_format")
    graph = QuantizedGraph(
        *(getattr(graph, name) for name in fields), layers, graph.output, graph.scheme
    )
    check(graph, random_codes(graph, 3, np.random.default_rng(seed)))


@pytest.mark.parametrize("rounding", ["even", "stochastic"])
@pytest.mark.parametrize("scheme", ["int16", "int32"])
def test_wide_networks_agree(scheme, rounding):
    net = Network()
    first = net.relu(net.conv("x", 8))
    net.pool(net.relu(net.add(net.conv(net.pool(first), 8, groups=2), net.pool(first))))
    graph = quantize(net.graph(), images(16), scheme, "kl", rounding=rounding)
    fmt = graph.input_format
    codes = np.random.default_rng(0).integers(fmt.low, fmt.high, (2, *graph.input_shape))
    check(graph, codes)


@pytest.mark.parametrize("rounding", ["even", "stochastic"])
@pytest.mark.parametrize("shift", [0, 1, 31, 32, 33, 62])
def test_the_widest_sums_and_shifts_agree(shift, rounding):
    rng = np.random.default_rng(shift)
    word = Format(32, True, 0)
    layer = QConv(
        name="y",
        inputs=("x",),
        shape=(4, 3, 3),
        format=word,
        low=word.low,
        high=word.high,
        weight=rng.integers(-(1 << 27), 1 << 27, (4, 2, 1, 1)).astype(np.int32),
        weight_fraction=np.zeros(4, np.int32),
        bias=rng.integers(-(1 << 50), 1 << 50, 4),
        shift=np.full(4, shift, np.int32),
        residual_shift=np.zeros(4, np.int32),
        window=Window(),
        groups=1,
        scheme="test",
    )
    change = QRequantize("z", ("x",), (2, 3, 3), word, word.low, word.high, left=30, shift=shift)
    x = rng.integers(word.low, word.high, (3, 2, 3, 3))
    for made in (layer, change):
        made = Rounding(rounding, 3).apply(made)
        assert np.array_equal(recompute(made, [x]), run_layer(made, [x], [word]))
