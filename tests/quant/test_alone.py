"""Networks with one layer's weights quantized against networks built so by hand."""

from dataclasses import replace

import numpy as np
import pytest

from quant.alone import float_conv, outputs_alone, weights_alone
from quant.floating import run_float
from quant.graph import Add, Clip, Conv, Graph, MaxPool, Window
from quant.numbers import dequantize
from quant.quantize import quantize
from quant.quantized import QConv

SHAPE = (3, 6, 6)
SAME = Window((3, 3), padding=(1, 1, 1, 1))


def conv(name: str, source: str, seed: int) -> Conv:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((3, 3, 3, 3)).astype(np.float32) / 5
    return Conv(name, (source,), SHAPE, weight, np.ones(3, np.float32) * 0.3, SAME)


def network() -> Graph:
    """Two convolutions of one input that are added, then a residual block."""
    layers = (
        conv("left", "x", 0),
        conv("right", "x", 1),
        Add("sum", ("left", "right"), SHAPE),
        Clip("first", ("sum",), SHAPE, 0.0, np.inf),
        conv("inner", "first", 2),
        Add("residual", ("inner", "first"), SHAPE),
        Clip("second", ("residual",), SHAPE, 0.0, np.inf),
        MaxPool("pool", ("second",), (3, 3, 3), Window((2, 2), (2, 2))),
        Conv(
            "y",
            ("pool",),
            (2, 1, 1),
            np.random.default_rng(3).standard_normal((2, 3, 3, 3)).astype(np.float32),
            np.zeros(2, np.float32),
            Window((3, 3)),
        ),
    )
    return Graph("net", "x", SHAPE, layers, "y")


def images(count: int = 20) -> np.ndarray:
    return np.random.default_rng(9).standard_normal((count, *SHAPE)).astype(np.float32)


GRAPH = network()
QGRAPH = quantize(GRAPH, images(), "w3")
CONVS = [layer for layer in QGRAPH.layers if isinstance(layer, QConv)]


def test_every_quantized_convolution_has_its_float_one():
    found = [float_conv(GRAPH, QGRAPH, layer).name for layer in CONVS]
    assert sorted(found) == ["inner", "left", "right", "y"]
    by_name = dict(zip((layer.name for layer in CONVS), found, strict=True))
    assert by_name["second"] == "inner"
    assert by_name["first"] in ("left", "right")
    assert by_name[by_name["y"]] == "y"


def test_a_layer_of_another_graph_is_refused():
    with pytest.raises(ValueError, match="other was not made from a convolution of net"):
        float_conv(GRAPH, QGRAPH, replace(CONVS[0], name="other"))


def test_outputs_are_those_of_the_changed_network():
    x = images(5)
    convs = weights_alone(GRAPH, QGRAPH, None)
    outputs = list(outputs_alone(GRAPH, convs, x))
    assert len(outputs) == len(convs) == 4
    for layer, changed, output in zip(CONVS, convs, outputs, strict=True):
        scale = -layer.weight_fraction[:, None, None, None]
        assert np.array_equal(changed.weight, dequantize(layer.weight, -scale))
        layers = tuple(changed if item.name == changed.name else item for item in GRAPH.layers)
        expected = run_float(replace(GRAPH, layers=layers), x, keep=["y"])["y"]
        assert np.allclose(output, expected.reshape(5, -1), atol=1e-6)
        assert not np.allclose(output, run_float(GRAPH, x, keep=["y"])["y"].reshape(5, -1))


def test_biases_take_up_the_mean_error():
    x = images()
    floats = run_float(GRAPH, x)
    for changed in weights_alone(GRAPH, QGRAPH, x):
        source = floats[changed.inputs[0]]
        single = replace(changed, inputs=("x",))
        graph = Graph("one", "x", source.shape[1:], (single,), single.name)
        found = run_float(graph, source, keep=[single.name])[single.name]
        expected = floats[changed.name]
        assert np.allclose(found.mean(axis=(0, 2, 3)), expected.mean(axis=(0, 2, 3)), atol=1e-5)
