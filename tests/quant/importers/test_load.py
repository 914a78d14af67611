"""One function for every kind of source."""

import numpy as np
import pytest
import torch
from torch import nn

from quant.errors import NoMulError
from quant.importers import load


@pytest.fixture
def module():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


def test_a_module_and_its_saved_graph(module, tmp_path):
    graph = load(module, input_shape=(1, 5, 6), name="small")
    assert graph.name == "small" and load(module, (1, 5, 6)).name == "Sequential"
    graph.save(tmp_path / "small.graph")
    again = load(str(tmp_path / "small.graph"))
    assert (again.name, again.input_shape, again.output) == ("small", (1, 5, 6), graph.output)
    assert again.layers[1] == graph.layers[1]
    np.testing.assert_array_equal(again.layers[0].weight, graph.layers[0].weight)


def test_a_module_needs_its_input_shape(module):
    with pytest.raises(NoMulError, match=r"Sequential is not given; pass input_shape=\(channels"):
        load(module)


def test_other_files_are_refused(module, tmp_path):
    weights = tmp_path / "weights.pt"
    torch.save(module.state_dict(), weights)
    with pytest.raises(NoMulError, match=r"weights\.pt holds a network's parameters without"):
        load(weights)
    text = tmp_path / "notes.txt"
    text.write_text("no network")
    with pytest.raises(NoMulError, match=r"notes\.txt is neither an \.onnx file nor a saved"):
        load(text)
    with pytest.raises(NoMulError, match=r"gone\.graph does not exist"):
        load(tmp_path / "gone.graph")
    with pytest.raises(NoMulError, match="a network cannot be of type OrderedDict"):
        load(module.state_dict())
