import numpy as np
import pytest

from quant.allocation.mixed import Mixed, nearest_of, round_mixed
from quant.allocation.probe import rounded_weights
from quant.allocation.tables import WIDTHS, sizes
from quant.errors import NoMulError
from quant.graph import Conv, Graph, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format
from quant.quantize import quantize
from quant.quantized import QConv
from quant.schemes.rounding import Rounding
from tests.quant.allocation.networks import images, small_graph

GRAPH, X = small_graph(), images()
BITS = {
    conv.name: np.resize([2, 5, 3, 8, 4], len(conv.weight))
    for conv in GRAPH.layers
    if isinstance(conv, Conv)
}


def test_every_channel_keeps_to_its_width():
    names = list(BITS)
    qgraph = quantize(GRAPH, X, Mixed("mixed", "log", BITS, {GRAPH.layers[1].name: 5}))
    assert qgraph.scheme == "mixed"
    assert qgraph.format_of(GRAPH.layers[1].name).bits == 5
    layers = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    for name, layer in zip(names, layers, strict=True):
        for bits, weight in zip(BITS[name], layer.weight):
            values = np.abs(weight)
            lowest = int((values & -values)[values > 0].min(initial=1 << 30))
            shift = lowest.bit_length() - 1
            assert any(
                np.isin(np.ldexp(values.astype(float), -s), sizes("log", int(bits))).all()
                for s in range(shift + 1)
            )


def test_a_probe_rounds_each_width_as_mixed_does():
    found = rounded_weights(GRAPH, X, "uniform", "nearest")
    conv = next(layer for layer in GRAPH.layers if isinstance(layer, Conv))
    inputs = LayerInputs(np.rint(X * 16).astype(np.int32), Format(8, True, 4), X, True)
    for index, bits in enumerate(WIDTHS):
        every = np.full(len(conv.weight), bits)
        codes, fraction = round_mixed(Rounding(conv, inputs), "uniform", every, "nearest")
        values = np.ldexp(codes.astype(np.float64), -fraction[:, None, None, None])
        assert np.mean(found[conv.name][index] == values) > 0.9
        assert found[conv.name].shape == (len(WIDTHS), *conv.weight.shape)


def test_groups_of_channels_have_their_own_inputs():
    random = np.random.default_rng(0)
    weight = random.normal(size=(6, 1, 3, 3)).astype(np.float32)
    conv = Conv(
        "c", ("x",), (6, 4, 4), weight, np.zeros(6, np.float32), Window((3, 3), (1, 1), (1,) * 4), 3
    )
    graph = Graph("g", "x", (3, 4, 4), (conv,), "c")
    x = random.normal(size=(32, 3, 4, 4)).astype(np.float32)
    found = rounded_weights(graph, x, "uniform", "compensated")["c"]
    errors = ((found - weight) ** 2).reshape(len(WIDTHS), 6, -1).sum(axis=2)
    assert (errors[-1] < errors[0] / 100).all()
    assert np.abs(found[-1] - weight).max() < 0.05


def test_nearest_of_each_channel():
    function = nearest_of("uniform", np.array([[2, 4]]))
    assert function(np.array([[3.4, 3.4]])).tolist() == [[1, 3]]
    assert function(np.array([[[0.6, -9.0], [0.6, -9.0]]])).tolist() == [[[1, -1], [1, -7]]]


def test_other_channels():
    with pytest.raises(NoMulError, match="has 6 output channels, the allocation has widths of 0"):
        quantize(GRAPH, X, Mixed("mixed", "log", {}))
