"""Whole networks: every rule of the quantized graph, closeness to float, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.errors import NoMulError
from quant.floating import run_float
from quant.graph import Add, AvgPool, Clip, Concat, Conv, Graph, MaxPool, Upsample, Window
from quant.numbers import dequantize
from quant.quantize import quantize
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConcat,
    QConv,
    QMaxPool,
    QRequantize,
    QuantizedGraph,
    QUpsample,
)
from quant.reference import largest_sum, predict, quantize_input, run_reference

SHAPE = (3, 8, 8)


class Network:
    """A float graph built layer by layer; every method returns the new tensor's name."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers: list = []
        self.shapes = {"x": SHAPE}

    def append(self, kind, inputs, shape, *fields) -> str:
        name = f"{kind.__name__.lower()}{len(self.layers)}"
        self.layers.append(kind(name, tuple(inputs), shape, *fields))
        self.shapes[name] = shape
        return name

    def conv(self, x: str, outputs: int = 4, groups: int = 1, gain: float = 1.0) -> str:
        channels, height, width = self.shapes[x]
        weight = self.rng.standard_normal((outputs, channels // groups, 3, 3)) * gain
        weight /= math.sqrt(channels // groups * 9)
        bias = self.rng.standard_normal(outputs) * 0.3 * gain
        window = Window((3, 3), padding=(1, 1, 1, 1))
        parameters = weight.astype(np.float32), bias.astype(np.float32), window, groups
        return self.append(Conv, [x], (outputs, height, width), *parameters)

    def relu(self, x: str) -> str:
        return self.append(Clip, [x], self.shapes[x], 0.0, math.inf)

    def add(self, a: str, b: str) -> str:
        return self.append(Add, [a, b], self.shapes[a])

    def concat(self, *names: str) -> str:
        channels = sum(self.shapes[name][0] for name in names)
        return self.append(Concat, names, (channels, *self.shapes[names[0]][1:]))

    def pool(self, x: str, kind: type = MaxPool, size: int = 2) -> str:
        channels, height, width = self.shapes[x]
        window = Window((size, size), (size, size))
        return self.append(kind, [x], (channels, height // size, width // size), window)

    def upsample(self, x: str) -> str:
        channels, height, width = self.shapes[x]
        return self.append(Upsample, [x], (channels, 2 * height, 2 * width), (2, 2))

    def graph(self) -> Graph:
        return Graph("net", "x", SHAPE, tuple(self.layers), self.layers[-1].name)


def images(count: int = 24, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def kinds(qgraph: QuantizedGraph) -> list[tuple[type, str]]:
    return [(type(layer), layer.name) for layer in qgraph.layers]


def check_rules(qgraph: QuantizedGraph) -> None:
    """What the quantized graph's docstrings promise."""
    known = {qgraph.input}
    for layer in qgraph.layers:
        formats = [qgraph.format_of(name) for name in layer.inputs]
        assert known.issuperset(layer.inputs)
        known.add(layer.name)
        fmt = layer.format
        assert fmt.low <= layer.low <= layer.high <= fmt.high
        match layer:
            case QConv():
                unit = formats[0].fraction + layer.weight_fraction
                assert np.array_equal(layer.shift, unit - fmt.fraction)
                assert layer.shift.min() >= 0
                assert layer.shift.max() <= 31
                assert largest_sum(layer, formats) < 2**31
                if formats[1:]:
                    assert np.array_equal(layer.residual_shift, unit - formats[1].fraction)
                    assert layer.residual_shift.min() >= 0
            case QAdd():
                common = {f.fraction + s for f, s in zip(formats, layer.shifts, strict=True)}
                assert common == {fmt.fraction + layer.shift}
                assert min(*layer.shifts, layer.shift) >= 0
            case QAvgPool():
                assert 0 < layer.multiplier < 256
                assert layer.shift >= 0
            case QRequantize():
                assert fmt.fraction == formats[0].fraction + layer.left - layer.shift
                assert min(layer.left, layer.shift) == 0
            case QConcat() | QMaxPool() | QUpsample():
                assert set(formats) == {fmt}
    assert qgraph.output in known


def signal_to_noise(graph: Graph, qgraph: QuantizedGraph, x: np.ndarray) -> float:
    """In decibels, of the network's output."""
    expected = run_float(graph, x, keep=[graph.output])[graph.output].reshape(len(x), -1)
    error = expected - predict(qgraph, x)
    return 10 * float(np.log10((expected**2).sum() / (error**2).sum()))


@st.composite
def networks(draw) -> Graph:
    """Random networks with branches, shared tensors and every kind of layer."""
    net = Network(draw(st.integers(0, 1000)))
    tensors = ["x"]
    for _ in range(draw(st.integers(2, 9))):
        x = draw(st.sampled_from(tensors))
        same = [name for name in tensors if net.shapes[name] == net.shapes[x]]
        beside = [name for name in tensors if net.shapes[name][1:] == net.shapes[x][1:]]
        other = draw(st.sampled_from(same))
        more = draw(st.lists(st.sampled_from(beside), max_size=2))
        choices = [
            lambda x=x: net.conv(x, 4, gain=draw(st.sampled_from([0.01, 1.0, 30.0]))),
            lambda x=x: net.conv(x, 2 * net.shapes[x][0], groups=net.shapes[x][0]),
            lambda x=x: net.relu(x),
            lambda x=x, other=other: net.add(x, other),
            lambda x=x, more=more: net.concat(x, *more),
        ]
        if net.shapes[x][1] > 1:
            choices.append(lambda x=x: net.pool(x, draw(st.sampled_from([MaxPool, AvgPool]))))
        if net.shapes[x][1] < 8:
            choices.append(lambda x=x: net.upsample(x))
        tensors.append(draw(st.sampled_from(choices))())
    return net.graph()


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    networks(),
    st.sampled_from(["int8", "log4", "w3", "log6", "w4x2", "w4r++", "log4alog", "int8a4"]),
)
def test_random_networks_obey_every_rule(graph, scheme):
    qgraph = quantize(graph, images(8), scheme)
    check_rules(qgraph)
    x = images(4, seed=2)
    tensors = run_reference(qgraph, quantize_input(qgraph, x))
    for layer in qgraph.layers:
        assert layer.low <= tensors[layer.name].min() <= tensors[layer.name].max() <= layer.high
        assert tensors[layer.name].shape[1:] == layer.shape
    floats = run_float(graph, x)
    if scheme == "int8":
        # Fused clips aside, equally named tensors are the same tensor.
        name = graph.output
        found = dequantize(tensors[name], qgraph.format_of(name).fraction)
        scale = np.abs(floats[name]).max() + 1e-6
        assert np.abs(found - floats[name]).mean() < 0.1 * scale


def residual_network() -> Graph:
    net = Network()
    first = net.relu(net.conv("x"))
    second = net.conv(net.relu(net.conv(first)))
    joined = net.relu(net.add(second, first))
    net.conv(net.pool(joined, AvgPool, 8), 10)
    return net.graph()


def test_residual_block_becomes_two_layers():
    qgraph = quantize(residual_network(), images())
    assert kinds(qgraph) == [
        (QConv, "clip1"),
        (QConv, "clip3"),
        (QConv, "clip6"),
        (QAvgPool, "avgpool7"),
        (QConv, "conv8"),
    ]
    assert qgraph.layer("clip6").inputs == ("clip3", "clip1")
    assert qgraph.layer("clip6").low == 0
    assert not qgraph.format_of("clip6").signed
    check_rules(qgraph)


@pytest.mark.parametrize(
    ("scheme", "decibels"),
    [("int8", 28), ("log4", 13), ("w3x2", 15), ("w4x2", 24), ("log5", 17), ("int8alog", 13)],
)
def test_closeness_to_float(scheme, decibels):
    graph = residual_network()
    qgraph = quantize(graph, images(200), scheme)
    assert signal_to_noise(graph, qgraph, images(100, seed=2)) > decibels


@pytest.mark.parametrize(("gain", "alone"), [(0.1, "conv0"), (10.0, "conv1")])
def test_coarser_of_two_convolutions_takes_the_residual(gain, alone):
    net = Network()
    net.relu(net.add(net.conv("x", gain=gain), net.conv("x")))
    qgraph = quantize(net.graph(), images())
    assert kinds(qgraph) == [(QConv, alone), (QConv, "clip3")]
    assert qgraph.layer("clip3").inputs == ("x", alone)


def test_a_convolution_that_others_read_stays_alone():
    net = Network()
    conv = net.conv("x")
    net.add(net.add(conv, net.relu(conv)), conv)
    qgraph = quantize(net.graph(), images())
    assert [kind for kind, _ in kinds(qgraph)] == [QConv, QRequantize, QAdd, QAdd]


def test_a_tensor_added_to_itself():
    net = Network()
    conv = net.conv("x")
    net.add(conv, conv)
    qgraph = quantize(net.graph(), images())
    assert kinds(qgraph) == [(QConv, "conv0"), (QAdd, "add1")]


def test_a_residual_finer_than_the_sums_is_added_apart():
    net = Network()
    small = net.relu(net.conv("x", gain=1e-6))
    net.relu(net.add(net.conv("x", gain=1000.0), small))
    qgraph = quantize(net.graph(), images(), "w3")
    assert [kind for kind, _ in kinds(qgraph)] == [QConv, QConv, QAdd]
    assert kinds(qgraph)[1:] == [(QConv, "conv2"), (QAdd, "clip4")]
    check_rules(qgraph)


def test_clip_after_pooling_makes_the_convolution_unsigned():
    net = Network()
    net.relu(net.pool(net.conv("x")))
    qgraph = quantize(net.graph(), images())
    assert kinds(qgraph) == [(QConv, "conv0"), (QMaxPool, "clip2")]
    assert not qgraph.format_of("conv0").signed


def test_concatenated_tensors_share_a_format():
    net = Network()
    small, large = net.relu(net.conv("x", gain=0.1)), net.relu(net.conv("x", gain=10.0))
    net.concat(small, large, "x")
    qgraph = quantize(net.graph(), images())
    assert kinds(qgraph)[-2:] == [(QRequantize, "concat4.x"), (QConcat, "concat4")]
    assert {qgraph.format_of(name) for name in ("clip1", "clip3")} == {qgraph.format_of("concat4")}


def test_names_of_float_tensors_can_be_compared():
    graph = residual_network()
    qgraph = quantize(graph, images())
    x = images(16, seed=2)
    floats, codes = run_float(graph, x), run_reference(qgraph, quantize_input(qgraph, x))
    for layer in qgraph.layers:
        values = dequantize(codes[layer.name], layer.format.fraction)
        assert np.abs(values - floats[layer.name]).mean() < 0.05


def test_bias_correction_removes_the_mean_error():
    graph, x = residual_network(), images(400)
    floats = run_float(graph, x, keep=["conv8"])["conv8"].reshape(len(x), -1)
    shifts = {
        on: np.abs(
            (predict(quantize(graph, x, "w3", bias_correction=on), x) - floats).mean(axis=0)
        ).mean()
        for on in (False, True)
    }
    assert shifts[True] < 0.5 * shifts[False]


def test_raw_pixels_are_their_own_codes():
    net = Network()
    net.conv("x")
    pixels = np.random.default_rng(0).integers(0, 256, (16, *SHAPE)).astype(np.float32)
    qgraph = quantize(net.graph(), pixels)
    assert (qgraph.input_format.signed, qgraph.input_format.fraction) == (False, 0)
    assert np.array_equal(quantize_input(qgraph, pixels), pixels)


def test_a_dead_network_quantizes():
    layer = Conv(
        "y",
        ("x",),
        SHAPE,
        np.zeros((3, 3, 1, 1), np.float32),
        np.float32([0, 1e-9, 5]),
        Window(),
    )
    graph = Graph("dead", "x", SHAPE, (layer,), "y")
    qgraph = quantize(graph, np.zeros((2, *SHAPE), np.float32), "log4")
    check_rules(qgraph)
    found = predict(qgraph, np.zeros((1, *SHAPE), np.float32)).reshape(SHAPE)
    assert np.allclose(found, np.float32([0, 1e-9, 5])[:, None, None], atol=0.05)


def test_batches_give_what_one_array_gives(tmp_path):
    graph, x = residual_network(), images(50)
    whole, parts = quantize(graph, x), quantize(graph, iter([x[:7], x[7:31], x[31:]]))
    for name, qgraph in (("whole", whole), ("parts", parts)):
        qgraph.save(tmp_path / name)
        assert np.array_equal(predict(QuantizedGraph.load(tmp_path / name), x), predict(qgraph, x))
    assert np.array_equal(predict(whole, x), predict(parts, x))


def test_progress():
    calls: list = []
    graph = residual_network()
    quantize(graph, images(100), progress=lambda *call: calls.append(call))
    assert calls[:2] == [(64, 100, "calibration"), (100, 100, "calibration")]
    assert calls[2:] == [
        (index + 1, 5, f"quantize {name}")
        for index, name in enumerate(["clip1", "clip3", "clip6", "avgpool7", "conv8"])
    ]
    calls.clear()
    quantize(graph, iter([images(10)]), progress=lambda *call: calls.append(call))
    assert calls[0] == (10, None, "calibration")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (images(0), "there are no calibration images for net; give some hundred"),
        ([], "there are no calibration images for net"),
        (None, "images for net are a NoneType; give a numpy array"),
        (images().astype(np.float64), "images for net are float64; give float32"),
        (images()[0], r"have the shape \(3, 8, 8\); give \(images, 3, 8, 8\)"),
        ([images(), images()[:, :2]], r"have the shape \(24, 2, 8, 8\)"),
        (images() * np.float32(np.nan), "image 0 for net holds NaN or infinity"),
        (np.full((2, *SHAPE), 3e38, np.float32), "tensor conv0 of net becomes NaN or infinite"),
    ],
)
def test_wrong_calibration_images_are_refused(given, message):
    with pytest.raises(NoMulError, match=message):
        quantize(residual_network(), given)


def test_unknown_names_are_refused():
    with pytest.raises(NoMulError, match=r"no scheme 'int9'; choose one of: .*int8, log4, log5"):
        quantize(residual_network(), images(), "int9")
    with pytest.raises(NoMulError, match="no calibration 'max'; choose one of: kl, min-max"):
        quantize(residual_network(), images(), calibration="max")
