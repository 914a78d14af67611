"""ONNX files: names, shapes, what surrounds the operators, and everything that is refused."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from quant.datasets import cifar10_lossless
from quant.errors import NoMulError
from quant.floating import compare_import, run_float
from quant.importers import load, load_onnx
from quant.networks import IMAGENET
from tests.quant.importers.onnx_models import (
    MATRIX,
    NORM,
    WEIGHT,
    f32,
    i64,
    imported,
    kinds,
    model,
    node,
    values,
)

CONV = model([node("Conv", "x w b", "y")], WEIGHT)


def test_names_are_those_of_nodes_or_outputs(tmp_path):
    nodes = [node("Conv", "x w b", "a"), node("Relu", "a", "c"), node("Neg", "c", "y")]
    nodes[0].name = "first"
    graph = imported(model(nodes, WEIGHT), tmp_path)
    assert [layer.name for layer in graph.layers] == ["first", "c", "y"]
    assert (graph.name, graph.input, graph.output) == ("model", "x", "y")


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
    "kernel_shape": (
        model([node("Conv", "x w", "y", kernel_shape=[2, 2])], {"w": values(4, 6, 3, 3)}),
        r"its kernel_shape \(2, 2\) is not that of its weights, \(3, 3\)",
    ),
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
    good = CONV.SerializeToString()
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
    onnx.save(CONV, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
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
