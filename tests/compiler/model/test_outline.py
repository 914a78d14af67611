import math
import pickle

import numpy as np
import pytest

from compiler.model.onchip import layer_cycles
from compiler.model.outline import outline, packed, unpacked
from quant.graph import Add, Clip, Conv, Graph, MaxPool, Window
from quant.imagenet_shapes import imagenet_shape
from quant.quantize import quantize
from quant.quantized import QConv
from tests.compiler.model.shapes import MACHINES

ROUND = Window((3, 3), (1, 1), (1, 1, 1, 1))
MAP = (8, 8, 8)


def network() -> Graph:
    """A residual block, a pool and a linear layer with random weights."""
    source = np.random.default_rng(0)

    def conv(name, tensor, shape, inputs, window):
        weight = source.standard_normal((shape[0], inputs, *window.kernel)).astype(np.float32)
        return Conv(name, (tensor,), shape, weight, np.zeros(shape[0], np.float32), window)

    layers = (
        conv("stem", "image", MAP, 3, ROUND),
        Clip("stem.relu", ("stem",), MAP, 0.0, math.inf),
        conv("left", "stem.relu", MAP, 8, ROUND),
        Add("add", ("left", "stem.relu"), MAP),
        Clip("add.relu", ("add",), MAP, 0.0, math.inf),
        MaxPool("pool", ("add.relu",), (8, 4, 4), Window((2, 2), (2, 2))),
        conv("head", "pool", (5, 1, 1), 8, Window((4, 4))),
    )
    return Graph("small", "image", (3, 8, 8), layers, "head")


@pytest.mark.parametrize("architecture", MACHINES, ids=lambda machine: machine.name)
def test_an_outline_has_the_layers_and_the_cycles_of_the_quantized_graph(architecture):
    graph = network()
    images = np.random.default_rng(1).standard_normal((4, 3, 8, 8)).astype(np.float32)
    real, shape = quantize(graph, images, "w4r"), outline(graph)
    assert [(type(layer), layer.name, layer.inputs, layer.shape) for layer in shape.layers] == [
        (type(layer), layer.name, layer.inputs, layer.shape) for layer in real.layers
    ]
    expected, found = (layer_cycles(one, architecture, {"left": 2}) for one in (real, shape))
    # Settings that happen to be equal are not written again, which moves the first run.
    assert found.pop("stem.relu") == pytest.approx(expected.pop("stem.relu"), abs=2)
    assert found == expected


def test_packed_is_small_and_comes_back():
    graph = outline(imagenet_shape("vgg16"))
    small = packed(graph)
    assert len(pickle.dumps(small)) < 1_000_000
    for before, after in zip(graph.layers, unpacked(small).layers, strict=True):
        assert before.name == after.name
        if isinstance(before, QConv):
            assert np.array_equal(before.weight[:2, :2], after.weight[:2, :2])
            assert before.weight.shape == after.weight.shape
            assert after.weight.strides[:2] == (0, 0)
