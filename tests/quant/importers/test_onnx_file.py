"""Every operator that the ONNX front end takes, against ONNX Runtime, and what it refuses."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from quant.datasets import cifar10_lossless
from quant.errors import NoMulError
from quant.floating import compare_import, run_float
from quant.graph import AvgPool, Conv, Graph, Upsample, Window
from quant.importers import load, load_onnx
from quant.networks import IMAGENET

IMAGE = ("batch", 6, 12, 10)


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def node(kind: str, inputs: str, output: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def model(nodes, constants=None, shape=IMAGE, opset=13, outputs=("y",), inputs=("x",), kind=None):
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT if kind is None else kind, shape)
            for name in inputs
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()],
    )
    for output in graph.output:
        output.type.tensor_type.elem_type = TensorProto.FLOAT
    domains = {n.domain for n in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    proto = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8)
    )
    for output in proto.graph.output:
        # Present, though empty where nothing is known: the checker asks for no more.
        output.type.tensor_type.shape.SetInParent()
    return proto


def imported(proto: onnx.ModelProto, folder: Path, images: int = 2) -> Graph:
    """The graph of a model, after comparing its output with ONNX Runtime's."""
    path = folder / "model.onnx"
    onnx.save(proto, path)
    graph = load(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    entry = session.get_inputs()[0]
    images = entry.shape[0] if isinstance(entry.shape[0], int) else images
    x = values(images, *graph.input_shape, seed=1)
    (expected,) = session.run(None, {entry.name: x.reshape(images, *entry.shape[1:])})
    assert compare_import(graph, expected, x) < 1e-5
    return graph


def kinds(graph: Graph) -> list[str]:
    return [type(layer).__name__ for layer in graph.layers]


WEIGHT = {"w": values(4, 6, 3, 3), "b": values(4)}
MATRIX = {"w": values(720, 5), "b": values(5)}
NORM = {"g": values(6), "o": values(6), "m": values(6), "v": np.abs(values(6)) + np.float32(0.1)}


def i64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def f32(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


MODELS = {
    "conv": model([node("Conv", "x w b", "y")], WEIGHT),
    "conv opset 9": model([node("Conv", "x w", "y", strides=[2, 1])], WEIGHT, opset=9),
    "conv opset 21": model([node("Conv", "x w b", "y", dilations=[2, 1])], WEIGHT, opset=21),
    "conv asymmetric": model([node("Conv", "x w", "y", pads=[0, 1, 2, 3])], WEIGHT),
    "conv same upper": model(
        [node("Conv", "x w b", "y", auto_pad="SAME_UPPER", strides=[2, 3])], WEIGHT
    ),
    "conv same lower": model(
        [node("Conv", "x w b", "y", auto_pad="SAME_LOWER", strides=[2, 1])], WEIGHT
    ),
    "conv valid": model([node("Conv", "x w b", "y", auto_pad="VALID")], WEIGHT),
    "conv depthwise": model([node("Conv", "x w", "y", group=6)], {"w": values(12, 1, 2, 3)}),
    "pad conv": model(
        [node("Pad", "x p", "a"), node("Conv", "a w b", "y", strides=[2, 2])],
        {"p": i64(0, 0, 0, 0, 0, 0, 1, 1), **WEIGHT},
    ),
    "pad attributes": model(
        [node("Pad", "x", "a", pads=[0, 0, 2, 1, 0, 0, 0, 1]), node("Conv", "a w", "y")],
        WEIGHT,
        opset=9,
    ),
    "pad channels": model([node("Pad", "x p", "y")], {"p": i64(0, 2, 1, 0, 0, 1, 0, 3)}),
    "pad axes": model(
        [helper.make_node("Pad", ["x", "p", "", "a"], ["y"])],
        {"p": i64(1, 2), "a": i64(3)},
        opset=18,
    ),
    "batch norm": model([node("BatchNormalization", "x g o m v", "y", epsilon=1e-3)], NORM),
    "gemm": model(
        [node("Flatten", "x", "a"), node("Gemm", "a w b", "y", alpha=2.0, beta=0.5)], MATRIX
    ),
    "gemm transposed": model(
        [node("Flatten", "x", "a"), node("Gemm", "a w b", "y", transB=1)],
        {"w": values(5, 720), "b": values(1, 5)},
    ),
    "matmul add": model(
        [node("Flatten", "x", "a"), node("MatMul", "a w", "c"), node("Add", "b c", "y")], MATRIX
    ),
    "flatten channels last": model(
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("Reshape", "t s", "a"),
            node("MatMul", "a w", "y"),
        ],
        {"s": i64(-1, 720), **MATRIX},
    ),
    "reshape by shape arithmetic": model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n"),
            node("Unsqueeze", "n axes", "n1"),
            node("Concat", "n1 rest", "target", axis=0),
            node("Reshape", "x target", "a"),
            node("MatMul", "a w", "y"),
        ],
        {"zero": np.array(0), "axes": i64(0), "rest": i64(-1), **MATRIX},
    ),
    "constant nodes": model(
        [
            helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(f32(0.5))),
            node("Mul", "w c", "half"),
            node("Transpose", "half", "turned", perm=[0, 1, 3, 2]),
            node("Conv", "x turned", "y"),
        ],
        WEIGHT,
    ),
    "max pool": model([node("MaxPool", "x", "y", kernel_shape=[3, 2], strides=[2, 2])]),
    "max pool ceil": model(
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)]
    ),
    "max pool same": model(
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")]
    ),
    "max pool padded": model(
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], pads=[1, 0, 1, 2], dilations=[2, 1])]
    ),
    "average pool": model([node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])]),
    "average pool counting": model(
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 0, 0], count_include_pad=1)]
    ),
    "global average": model([node("GlobalAveragePool", "x", "y")]),
    "global max": model([node("GlobalMaxPool", "x", "y")]),
    "reduce mean": model([node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)]),
    "reduce mean input": model([node("ReduceMean", "x a", "y")], {"a": i64(-1, -2)}, opset=18),
    "reduce mean in two": model(
        [
            node("ReduceMean", "x", "a", axes=[3], keepdims=0),
            node("ReduceMean", "a", "y", axes=[2], keepdims=0),
        ]
    ),
    "reduce max": model([node("ReduceMax", "x", "y", axes=[2, 3])]),
    "residual": model([node("Relu", "x", "a"), node("Neg", "x", "b"), node("Add", "a b", "y")]),
    "sum": model([node("Relu", "x", "a"), node("Sum", "c x a x", "y")], {"c": f32(2)}),
    "subtract": model([node("Relu", "x", "a"), node("Sub", "a x", "y")]),
    "concat": model([node("Relu", "x", "a"), node("Concat", "x a x", "y", axis=-3)]),
    "concat zeros": model(
        [node("Concat", "z x", "y", axis=1)],
        {"z": np.zeros((2, 3, 12, 10), np.float32)},
        shape=(2, 6, 12, 10),
    ),
    "clip": model([node("Clip", "x low high", "y")], {"low": f32(-0.5), "high": np.float32(1)}),
    "clip half open": model(
        [helper.make_node("Clip", ["x", "", "h"], ["y"])], {"h": np.float32(1)}
    ),
    "clip attributes": model([node("Clip", "x", "y", min=0.0, max=6.0)], opset=9),
    "clip float limits": model(
        [node("Clip", "x", "y", min=0.0, max=3.4028234663852886e38)], opset=6
    ),
    "max and min": model(
        [node("Max", "c x", "a"), node("Min", "a d", "y")], {"c": f32(-1), "d": f32(0.5)}
    ),
    "scale and shift": model(
        [node("Sub", "x m", "a"), node("Div", "a s", "b"), node("Mul", "b b2", "y")],
        {"m": values(6, 1, 1), "s": values(1, 6, 1, 1) + np.float32(4), "b2": np.float32(2)},
    ),
    "upsample opset 9": model([node("Upsample", "x s", "y")], {"s": f32(1, 1, 2, 3)}, opset=9),
    "resize opset 10": model([node("Resize", "x s", "y")], {"s": f32(1, 1, 2, 2)}, opset=10),
    "resize scales": model(
        [helper.make_node("Resize", ["x", "", "s"], ["y"])], {"s": f32(1, 1, 3, 2)}
    ),
    "resize sizes": model(
        [helper.make_node("Resize", ["x", "", "", "s"], ["y"])],
        {"s": i64(2, 6, 24, 30)},
        shape=(2, 6, 12, 10),
    ),
    "resize asymmetric": model(
        [
            helper.make_node(
                "Resize",
                ["x", "", "s"],
                ["y"],
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"s": f32(1, 1, 0.5, 0.2)},
    ),
    "split": model(
        [node("Split", "x s", "a b", axis=1), node("Concat", "b a", "y", axis=1)],
        {"s": i64(2, 4)},
    ),
    "slice": model(
        [node("Slice", "x s e a t", "y")],
        {"s": i64(1, 0), "e": i64(9, 100), "a": i64(2, 3), "t": i64(2, 3)},
    ),
    "gather": model([node("Gather", "x i", "y", axis=1)], {"i": i64(3, 0, 3)}),
    "squeeze": model(
        [
            node("GlobalAveragePool", "x", "a"),
            node("Squeeze", "a two", "b"),
            node("Gemm", "b w", "y"),
        ],
        {"two": i64(2, 3), "w": values(6, 5)},
    ),
    "identity, dropout, cast": model(
        [
            node("Identity", "x", "a"),
            node("Dropout", "a", "b mask"),
            node("Cast", "b", "c", to=TensorProto.FLOAT),
            node("Conv", "c w b2", "y"),
        ],
        {"w": WEIGHT["w"], "b2": WEIGHT["b"]},
    ),
    "fixed batch": model([node("Conv", "x w b", "y")], WEIGHT, shape=(3, 6, 12, 10)),
    "features": model(
        [node("Gemm", "x w b", "a"), node("Relu", "a", "y")],
        {"w": values(7, 5), "b": values(5)},
        shape=("n", 7),
    ),
    "dead branch": model([node("Sigmoid", "x", "unused"), node("Relu", "x", "y")]),
}


@pytest.mark.parametrize("name", MODELS)
def test_operator_equals_onnxruntime(name, tmp_path):
    imported(MODELS[name], tmp_path)


@st.composite
def convolutions(draw):
    def number(low, high):
        return draw(st.integers(low, high))

    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = groups * number(1, 3), groups * number(1, 3)
    kernel = [number(1, 5), number(1, 5)]
    attributes = {
        "strides": [number(1, 3), number(1, 3)],
        "dilations": [number(1, 3), number(1, 3)],
        "group": groups,
    }
    mode = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if mode == "NOTSET":
        attributes["pads"] = [number(0, 3) for _ in range(4)]
    else:
        attributes["auto_pad"] = mode
        if mode != "VALID":
            # ONNX Runtime refuses SAME with dilation.
            attributes["dilations"] = [1, 1]
    frame = [0, 0, number(0, 2), number(0, 2), 0, 0, number(0, 2), number(0, 2)]
    weight = values(outputs, inputs // groups, *kernel, seed=number(0, 9))
    proto = model(
        [node("Pad", "x p", "a"), node("Conv", "a w b", "y", **attributes)],
        {"p": i64(*frame), "w": weight, "b": values(outputs)},
        shape=("n", inputs, number(2, 12), number(2, 12)),
    )
    return proto


@settings(max_examples=150, deadline=None)
@given(proto=convolutions())
def test_any_convolution_equals_onnxruntime(proto, tmp_path_factory):
    try:
        graph = imported(proto, tmp_path_factory.mktemp("conv"))
    except NoMulError as error:
        assume("is larger than its padded input" not in str(error))
        raise
    assert kinds(graph) == ["Conv"]


def test_names_are_those_of_nodes_or_outputs(tmp_path):
    nodes = [node("Conv", "x w b", "a"), node("Relu", "a", "c"), node("Neg", "c", "y")]
    nodes[0].name = "first"
    graph = imported(model(nodes, WEIGHT), tmp_path)
    assert [layer.name for layer in graph.layers] == ["first", "c", "y"]
    assert (graph.name, graph.input, graph.output) == ("model", "x", "y")


def test_geometry(tmp_path):
    (conv,) = imported(MODELS["pad conv"], tmp_path).layers
    assert conv.window == Window((3, 3), (2, 2), (0, 0, 1, 1))
    (pool,) = imported(MODELS["global average"], tmp_path).layers
    assert isinstance(pool, AvgPool) and pool.window.kernel == (12, 10)
    (up,) = imported(MODELS["resize scales"], tmp_path).layers
    assert isinstance(up, Upsample) and up.factor == (3, 2)
    (linear,) = imported(MODELS["matmul add"], tmp_path).layers
    assert isinstance(linear, Conv) and linear.window.kernel == (12, 10)


def test_functions_of_the_model_are_inlined(tmp_path):
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], [helper.make_opsetid("", 13)]
    )
    proto = model([helper.make_node("Twice", ["x"], ["y"], domain="own")])
    proto.functions.append(twice)
    assert kinds(imported(proto, tmp_path)) == ["Add"]


def test_softmax_at_the_end_is_left_out(tmp_path):
    flat = node("Flatten", "x", "a")
    body = model([flat, node("Gemm", "a w b", "y")], MATRIX)
    last = model([flat, node("Gemm", "a w b", "c"), node("Softmax", "c", "y")], MATRIX)
    graph = imported(body, tmp_path)
    onnx.save(last, tmp_path / "softmax.onnx")
    found = load(tmp_path / "softmax.onnx")
    np.testing.assert_array_equal(found.layers[0].weight, graph.layers[0].weight)
    assert kinds(found) == ["Conv"]


def test_an_open_shape_is_given(tmp_path):
    path = tmp_path / "open.onnx"
    onnx.save(model([node("Conv", "x w", "y")], WEIGHT, shape=("n", 6, "h", "w")), path)
    assert load(path, input_shape=(6, 8, 9), name="seen").input_shape == (6, 8, 9)
    with pytest.raises(NoMulError, match=r"input x of .* is open beyond the batch; pass input_sh"):
        load(path)
    with pytest.raises(
        NoMulError, match=r"has the shape \(6, '\?', '\?'\) an image, not \(5, 8, 9"
    ):
        load(path, input_shape=(5, 8, 9))
    with pytest.raises(NoMulError, match="give its own shape"):
        load(path, input_shape=(6, 8))


def quant_node():
    return helper.make_node("Quant", ["x", "s"], ["y"], domain="onnx.brevitas", name="Quant_3")


REFUSALS = {
    "sigmoid": (model([node("Sigmoid", "x", "y")]), r"^y \(Sigmoid\): .* export without it"),
    "unknown": (model([node("Sin", "x", "y")]), r"^y \(Sin\): no layer computes this operator"),
    "leaky": (model([node("LeakyRelu", "x", "y")]), "train with Relu"),
    "qonnx": (
        model([quant_node()], {"s": f32(1)}),
        r"^Quant_3 \(Quant of the domain onnx.brevitas",
    ),
    "quantized": (
        model([node("QuantizeLinear", "x s", "y")], {"s": np.float32(1)}),
        "the model is quantized already; export the float network",
    ),
    "domain": (
        model([helper.make_node("Magic", ["x"], ["y"], domain="own")]),
        r"^y \(Magic\): it belongs to the domain own",
    ),
    "transposed": (
        model([node("ConvTranspose", "x w", "y")], {"w": values(6, 2, 2, 2)}),
        "no layer transposes a convolution",
    ),
    "two inputs": (
        model([node("Add", "x z", "y")], inputs=("x", "z")),
        r"has 2 inputs \(x, z\); export a model with one input",
    ),
    "two outputs": (
        model([node("Relu", "x", "y"), node("Neg", "x", "z")], outputs=("y", "z")),
        r"has 2 outputs \(y, z\)",
    ),
    "integer input": (
        model([node("Cast", "x", "y", to=1)], kind=TensorProto.UINT8),
        "the input x of .* is uint8; export a model that takes float",
    ),
    "integer data": (
        model([node("Cast", "x", "a", to=6), node("Cast", "a", "y", to=1)]),
        "it makes int32 of the data",
    ),
    "one dimension": (
        model([node("Relu", "x", "y")], shape=("n", 3, 9)),
        r"the input x has the shape \(2, 3, 9\)",
    ),
    "NaN": (
        model([node("Conv", "x w", "y")], {"w": np.full((4, 6, 3, 3), np.nan, np.float32)}),
        "^w has NaN values",
    ),
    "infinite": (
        model([node("Mul", "x c", "y")], {"c": np.float32(np.inf)}),
        "^c has infinite values",
    ),
    "division by zero": (model([node("Div", "x c", "y")], {"c": f32(0)}), "^1 / c has infinite"),
    "training": (
        model(
            [node("BatchNormalization", "x g o m v", "y rm rv", training_mode=1)], NORM, opset=15
        ),
        "it is in training mode",
    ),
    "dropout in training": (
        model([node("Dropout", "x r t", "y")], {"r": np.float32(0.5), "t": np.array(True)}),
        "it is in training mode",
    ),
    "mask": (
        model([node("MaxPool", "x", "a i", kernel_shape=[2, 2]), node("Cast", "i", "y", to=1)]),
        "i is not imported; only the main result",
    ),
    "weights from data": (
        model([node("Flatten", "x", "a"), node("MatMul", "a a", "y")]),
        "multiplies two tensors that depend on the input",
    ),
    "weights that do not fit": (
        model([node("Conv", "x w", "y", group=2)], WEIGHT),
        r"weights w \(4, 6, 3, 3\) in 2 groups do not fit 6 input channels",
    ),
    "kernel too large": (
        model([node("Conv", "x w", "y")], {"w": values(2, 6, 13, 1)}),
        r"its kernel \(13, 1\) is larger than its padded input \(12, 10\)",
    ),
    "linear that does not fit": (
        model([node("Flatten", "x", "a"), node("MatMul", "a w", "y")], {"w": values(7, 2)}),
        "flatten it first",
    ),
    "pad with a value": (
        model([node("Pad", "x p v", "y")], {"p": i64(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(3)}),
        "it pads with 3.0; only zeros",
    ),
    "reflect": (
        model([node("Pad", "x p", "y", mode="reflect")], {"p": i64(0, 0, 1, 1, 0, 0, 1, 1)}),
        "it pads with reflect; only zeros",
    ),
    "average without padding": (
        model([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]),
        "its divisor differs by position",
    ),
    "empty windows": (
        model([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[3, 3, 3, 3])]),
        "some windows lie in the padding alone",
    ),
    "interpolation": (
        model(
            [helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")],
            {"s": f32(1, 1, 2, 2)},
        ),
        "it interpolates .linear.",
    ),
    "uneven resize": (
        model([helper.make_node("Resize", ["x", "", "s"], ["y"])], {"s": f32(1, 1, 1.5, 1)}),
        "^the output y: y moves elements in a way that no layer expresses",
    ),
    "resize without size": (
        model([helper.make_node("Resize", ["x"], ["y"])]),
        "neither scales nor sizes",
    ),
    "batch mixed": (
        model([node("Reshape", "x s", "y")], {"s": i64(1, -1)}),
        "loses the batch of 2 images",
    ),
    "batch padded": (
        model([node("Slice", "x s e", "y")], {"s": i64(0), "e": i64(1)}),
        "loses the batch of 2 images",
    ),
    "reshape to nothing": (
        model([node("Reshape", "x s", "y")], {"s": i64(2, 7)}),
        "it cannot be evaluated",
    ),
    "shape from data": (
        model([node("Flatten", "x", "a"), node("Reshape", "x a", "y")]),
        "its input a depends on the data",
    ),
    "no layer": (model([node("Identity", "x", "y")]), "returns its input x"),
    "constant output": (
        model([node("Identity", "c", "y")], {"c": f32(1)}),
        "does not depend on the input",
    ),
    "random": (
        model([node("RandomNormal", "", "r", shape=[6, 1, 1]), node("Add", "x r", "y")]),
        r"^r \(RandomNormal\): its result is not constant",
    ),
    "softmax inside": (
        model([node("Softmax", "x", "a", axis=1), node("Conv", "a w", "y")], WEIGHT),
        r"^y \(Conv\): it reads the softmax a",
    ),
    "unsorted": (
        model([node("Relu", "a", "y"), node("Neg", "x", "a")]),
        "is no valid ONNX model",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_names_the_node(name, tmp_path):
    proto, message = REFUSALS[name]
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(NoMulError, match=message) as caught:
        load_onnx(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_models(tmp_path):
    good = MODELS["conv"].SerializeToString()
    path = tmp_path / "bad.onnx"
    for content in (b"", b"no model at all", good[: len(good) // 2], good[:-7]):
        path.write_bytes(content)
        with pytest.raises(NoMulError, match=r"bad.onnx is no (readable|valid) ONNX"):
            load(path)
    with pytest.raises(NoMulError, match=r"gone.onnx does not exist; check the path"):
        load(tmp_path / "gone.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(NoMulError, match=r"folder.onnx is no readable ONNX file"):
        load(tmp_path / "folder.onnx")


def test_weights_beside_the_file(tmp_path):
    path = tmp_path / "outside.onnx"
    onnx.save(
        MODELS["conv"], path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    assert kinds(load(path)) == ["Conv"]
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(NoMulError, match=r"weights.bin|outside.onnx"):
        load(path)


needs_models = pytest.mark.skipif(
    "NOMUL_MODELS" not in os.environ, reason="NOMUL_MODELS is not set"
)
needs_data = pytest.mark.skipif("NOMUL_DATA" not in os.environ, reason="NOMUL_DATA is not set")


@needs_models
def test_qonnx_model_is_refused():
    path = Path(os.environ["NOMUL_MODELS"]) / "onnx" / "tfc_2w2a_mnist.onnx"
    with pytest.raises(NoMulError, match=r"Quant_\d+ \(Quant of the domain onnx.brevitas\)"):
        load(path)


@needs_models
@needs_data
def test_mobilenet_equals_onnxruntime_and_its_published_accuracy():
    path = Path(os.environ["NOMUL_MODELS"]) / "onnx" / "mobilenetv2_like_cifar10.onnx"
    graph = load(path)
    assert set(kinds(graph)) == {"Conv", "Clip", "Add", "AvgPool"}
    data = cifar10_lossless()
    x = IMAGENET(data.test_images)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {graph.input: x})
    assert compare_import(graph, expected, x) < 1e-5
    scores = run_float(graph, x, keep=[graph.output])[graph.output].reshape(len(x), -1)
    assert (scores.argmax(1) == data.test_labels).sum() == 827
