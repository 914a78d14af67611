"""The onnx package's own models: each imports and computes what it should, or is refused."""

from pathlib import Path

import numpy as np
import onnx.backend.test
import pytest
from onnx import numpy_helper

from quant.errors import NoMulError
from quant.floating import run_float
from quant.graph import Graph
from quant.importers import load

DATA = Path(onnx.backend.test.__file__).parent / "data"

# onnx itself compares with its expected outputs, some of four digits, to this.
TOLERANCE = 1e-3

# What the front end takes of these folders.
IMPORTED = {"node": 46, "simple": 1, "pytorch-converted": 22, "pytorch-operator": 5}


def read_tensor(path: Path) -> np.ndarray:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def bind_inputs(proto: onnx.ModelProto, samples: Path) -> None:
    """Make constants of all inputs but the first: most operator tests take weights as inputs."""
    if not all(entry.type.HasField("tensor_type") for entry in proto.graph.input):
        return
    known = {tensor.name for tensor in proto.graph.initializer}
    for index, entry in enumerate(proto.graph.input):
        if index and entry.name not in known:
            tensor = read_tensor(samples / f"input_{index}.pb")
            proto.graph.initializer.append(numpy_helper.from_array(tensor, entry.name))


def without_softmax(proto: onnx.ModelProto) -> bool:
    """Whether the model returns what its graph does."""
    return proto.graph.node[-1].op_type not in ("Softmax", "LogSoftmax")


@pytest.mark.parametrize("folder", IMPORTED)
def test_every_model_imports_or_is_refused(folder, tmp_path):
    imported = 0
    for path in sorted(DATA.glob(f"{folder}/*/model.onnx")):
        samples = path.parent / "test_data_set_0"
        proto = onnx.load(path)
        bind_inputs(proto, samples)
        changed = tmp_path / "model.onnx"
        onnx.save(proto, changed)
        try:
            graph = load(changed)
        except NoMulError as error:
            assert "\n" not in str(error), path.parent.name
            continue
        imported += 1
        if without_softmax(proto):
            check(graph, read_tensor(samples / "input_0.pb"), samples, path.parent.name)
    assert imported == IMPORTED[folder]


def check(graph: Graph, x: np.ndarray, samples: Path, name: str) -> None:
    expected = read_tensor(samples / "output_0.pb")
    found = run_float(graph, x.reshape(len(x), *graph.input_shape))[graph.output]
    np.testing.assert_allclose(
        found.reshape(expected.shape), expected, rtol=TOLERANCE, atol=1e-6, err_msg=name
    )
