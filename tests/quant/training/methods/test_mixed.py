import json

import numpy as np
import pytest
import torch
from torch import nn

from quant.allocation.allocation import Allocation
from quant.errors import NoMulError
from quant.importers import load
from quant.quantize import quantize
from quant.quantized import QConv
from quant.training.data import TrainingData
from quant.training.loop import train
from quant.training.methods import find_method
from quant.training.methods.mixed import MixedOptions, MixedTraining, SizedWeight, steps_of
from quant.training.recipe import Recipe


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 3),
    ).eval()


BITS = {"0": np.array([2, 3, 4, 5, 6, 8]), "3": np.array([2, 2, 3, 5]), "6": np.array([4, 4, 8])}


@pytest.fixture
def widths(tmp_path):
    path = tmp_path / "widths.json"
    elements = {"0": 9, "3": 54, "6": 144}
    Allocation("log", "compensated", BITS, elements, orders={"0": np.arange(6)[::-1]}).save(path)
    return path


def test_convolutions_that_only_the_imported_network_has_are_passed_over(widths):
    content = json.loads(widths.read_text())
    content["layers"]["shortcut"] = {"weights": 4, "mean_bits": 2.0, "bits": [2, 2]}
    widths.write_text(json.dumps(content))
    model = MixedTraining(MixedOptions(str(widths))).wrap(small(), torch.zeros(8, 1, 6, 6))
    assert [name for name, m in model.named_modules() if isinstance(m, SizedWeight)] == [
        f"{name}.parametrizations.weight.0" for name in BITS
    ]


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (96, 6, 6, 1)).astype(np.uint8)
    labels = random.integers(0, 3, 96)

    def preprocess(x):
        return (x.astype(np.float32) / 255).transpose(0, 3, 1, 2).copy()

    return TrainingData(images, labels, images[:32], labels[:32], preprocess, False)


def test_trained_weights_keep_to_their_widths_and_are_taken_over(widths, data):
    method = find_method("mixed")(MixedOptions(str(widths), 0.25))
    recipe = Recipe(epochs=4, batch=16, learning_rate=0.1)
    trained = train(small(), data, method, recipe)
    start = MixedTraining(MixedOptions(str(widths))).wrap(small(), data.examples(96))
    moved = 0
    for name, bits in BITS.items():
        layer = trained.get_submodule(name)
        weight = layer.weight.detach().numpy()
        steps_of(name, weight, "log", bits)
        moved += (weight != start.get_submodule(name).weight.detach().numpy()).sum()
    assert moved > 10
    graph = load(trained, (1, 6, 6))
    scheme = Allocation.load(widths)
    scheme = Allocation("log", "compensated", scheme.bits, scheme.elements).scheme()
    qgraph = quantize(graph, data.examples(96).contiguous().numpy(), scheme)
    for layer in qgraph.layers:
        if isinstance(layer, QConv):
            own = next(c for c in graph.layers if c.shape == layer.shape and hasattr(c, "weight"))
            value = np.ldexp(
                layer.weight.astype(np.float64), -layer.weight_fraction[:, None, None, None]
            )
            assert np.array_equal(value, own.weight)


def test_nearest_sizes_with_a_gradient_that_goes_through():
    weight = torch.tensor([[0.2, -0.9, 3.0], [0.2, -0.9, 3.0]], requires_grad=True)
    sized = SizedWeight("uniform", np.array([2, 3]), torch.tensor([1.0, 0.5]))
    values = sized(weight)
    assert values.tolist() == [[0.0, -1.0, 1.0], [0.0, -1.0, 1.5]]
    values.sum().backward()
    assert weight.grad.tolist() == [[1.0] * 3] * 2
    sized.settled = True
    assert not sized(weight).requires_grad


def test_steps():
    weight = np.array([[0.5, 0.25, 0], [0, 0, 0], [3, 1, 1]], np.float32)
    assert steps_of("x", weight, "uniform", np.array([3, 2, 3])).tolist() == [0.25, 1.0, 1.0]
    with pytest.raises(NoMulError, match="channel 0 of x does not keep to 2 bits"):
        steps_of("x", weight[2:], "uniform", np.array([2]))


def test_what_cannot_be(widths, tmp_path):
    with pytest.raises(NoMulError, match="needs widths; give --option widths=FILE"):
        MixedOptions()
    with pytest.raises(NoMulError, match="settle is 1"):
        MixedOptions(str(widths), 1.0)
    content = json.loads(widths.read_text())
    del content["layers"]["3"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(NoMulError, match=r"other\.json holds widths of another network"):
        MixedTraining(MixedOptions(str(other))).wrap(small(), torch.zeros(8, 1, 6, 6))
