"""Small ONNX models for tests, and their comparison with ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from quant.floating import compare_import
from quant.graph import Graph
from quant.importers import load

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
