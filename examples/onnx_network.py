"""Writes ``model.onnx``, a small network for the command line, and ``images.npy`` for it.

Run with ``python examples/onnx_network.py``, then for example
``nomul quantize model.onnx --images images.npy``.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def main() -> None:
    """A convolution, a ReLU, an average pool and a linear layer, with random weights."""
    random = np.random.default_rng(0)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return numpy_helper.from_array(random.normal(0, scale, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["sums"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["features"], "relu"),
        helper.make_node("GlobalAveragePool", ["features"], ["mean"], "pool"),
        helper.make_node("Flatten", ["mean"], ["vector"], "flatten"),
        helper.make_node("Gemm", ["vector", "matrix"], ["scores"], "classifier", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 10])],
        [constant("kernel", 16, 3, 3, 3), constant("matrix", 10, 16)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, "model.onnx")
    np.save("images.npy", random.normal(size=(64, 3, 16, 16)).astype(np.float32))
    print("model.onnx and images.npy written")


if __name__ == "__main__":
    main()
