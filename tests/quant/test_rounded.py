"""The float network with rounded tensors."""

import numpy as np
import torch

from quant.floating import run_float
from quant.numbers import Format, dequantize, quantize
from quant.rounded import rounded, walk
from tests.quant.test_quantize import Network, images


def residual():
    net = Network()
    first = net.relu(net.conv("x"))
    net.add(net.conv(first), first)
    return net.graph()


def test_rounded_equals_the_primitives():
    values = np.random.default_rng(0).normal(0, 4, 2000).astype(np.float32)
    values = np.concatenate([values, np.arange(-40, 40) / np.float32(16)])
    for fmt in (Format(8, True, 3), Format(8, False, 5), Format(4, True, -1)):
        expected = dequantize(quantize(values, fmt), fmt.fraction)
        assert np.array_equal(rounded(torch.from_numpy(values), fmt).numpy(), expected)


def test_a_walk_that_changes_nothing_is_the_float_network():
    graph, x = residual(), images(5)
    seen = []

    def visit(name, values, finish):
        seen.append(name)
        assert torch.equal(finish(values, {}), expected)
        return values

    expected = torch.from_numpy(run_float(graph, x)[graph.output]).flatten(1)
    assert torch.equal(walk(graph, torch.from_numpy(x), visit), expected)
    assert seen == ["x", *(layer.name for layer in graph.layers)]


def test_what_finish_says_is_what_comes_out():
    graph, x = residual(), torch.from_numpy(images(5))
    formats = {layer.name: Format(5, True, 2) for layer in graph.layers[1:]}
    promised = []

    def visit(name, values, finish):
        if name == graph.layers[0].name:
            values = rounded(values, Format(4, True, 1))
            promised.append(finish(values, formats))
            return values
        return rounded(values, formats[name]) if name in formats else values

    assert torch.equal(walk(graph, x, visit), promised[0])
