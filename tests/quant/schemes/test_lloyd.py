"""Codebooks fitted without training: least error on small layers, few values, compensation."""

from itertools import combinations

import numpy as np
import pytest
import torch

from quant.codebooks import find_codebook
from quant.graph import Conv, Window
from quant.importers import load
from quant.layer_inputs import LayerInputs
from quant.networks import NETWORKS
from quant.numbers import Format
from quant.quantize import quantize
from quant.quantized import QConv
from quant.reference import predict
from quant.schemes import find_scheme
from quant.schemes.lloyd import codebook, fit_values, nearest_code


def error(x: np.ndarray, p: np.ndarray, values: np.ndarray) -> float:
    book = np.append(values, 0.0)
    return float((p * ((x[:, None] - book) ** 2).min(axis=1)).sum())


def best_error(x: np.ndarray, p: np.ndarray, count: int) -> float:
    """The least error of all: sorted weights cut into intervals, one of which is 0."""
    order = np.argsort(x)
    x, p = x[order], p[order]
    found = np.inf
    for cuts in combinations(range(len(x) + 1), count):
        parts = np.split(np.arange(len(x)), cuts)
        means = [np.average(x[part], weights=p[part]) if len(part) else 0.0 for part in parts]
        for zero in range(len(parts)):
            values = np.array([mean for i, mean in enumerate(means) if i != zero])
            found = min(found, error(x, p, values))
    return found


@pytest.mark.parametrize("count", [1, 3])
def test_errors_are_near_the_least_of_all_codebooks(count):
    rng = np.random.default_rng(count)
    ratios = []
    for _ in range(10):
        x, p = rng.normal(size=12), rng.uniform(0.1, 1, 12)
        values = fit_values(x, p, count)
        assert len(values) <= count and (np.diff(values) > 0).all() and (values != 0).all()
        ratios.append(error(x, p, values) / best_error(x, p, count))
    assert min(ratios) >= 1 - 1e-9
    assert np.median(ratios) < 1.2 and max(ratios) < 3


@pytest.mark.parametrize(
    ("count", "least"), [(1, 0.59509), (2, 0.19017), (3, 0.13506), (7, 0.03593)]
)
def test_normal_weights_get_the_best_codebook(count, least):
    """The least errors of a unit Gaussian with 0 and so many values: minimized in closed form."""
    x = np.random.default_rng(0).normal(size=200_000)
    values = fit_values(x, np.ones_like(x), count)
    assert error(x, np.ones_like(x), values) / len(x) == pytest.approx(least, rel=0.02)


@pytest.mark.parametrize(
    "weights", [[0.0, 0.0], [1.0, 1.0], [-2.0, 0.0, -2.0], [1e-30, -1e-30], [5.0]]
)
@pytest.mark.parametrize("count", [1, 3, 31])
def test_fewer_values_than_there_are_places(weights, count):
    x = np.array(weights)
    values = fit_values(x, np.ones_like(x), count)
    assert set(values) <= set(x) - {0.0}
    book = codebook(values)
    assert 0 in book and np.abs(book).max() <= 127
    assert (values == 0).all() or np.abs(book).max() >= 64


def test_ties_and_ends_of_the_nearest_code():
    book = np.array([-100, 0, 50])
    x = np.array([[-1e9, -50.0, -50.1], [24.9, 25.0, 1e9]])
    assert nearest_code(book, x).tolist() == [[-100, 0, -100], [0, 50, 50]]


def conv(weight: np.ndarray) -> Conv:
    array = weight.astype(np.float32)[:, :, None, None]
    return Conv("c", ("x",), (len(array), 1, 1), array, np.zeros(len(array)), Window())


def inputs(channels: int) -> LayerInputs:
    """Independent, around 0: what errs least are then the nearest codes."""
    codes = np.random.default_rng(1).integers(-127, 128, (512, channels, 1, 1))
    return LayerInputs(codes, Format(8, True, 5), (codes / 32).astype(np.float32), False)


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_a_layer_has_one_codebook_and_channels_powers_of_two(bits):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 32)) * 2.0 ** np.arange(-3, 5)[:, None]
    codes, fraction = find_scheme(f"codebook{bits}").quantize_weights(conv(weight), inputs(32))
    nonzero = np.unique(codes[codes != 0])
    assert 1 <= len(nonzero) < 1 << bits and np.abs(nonzero).max() <= 127
    assert fraction[0] - fraction[-1] in (6, 7, 8)
    values = np.ldexp(codes[..., 0, 0].astype(float), -fraction[:, None])
    found = find_codebook(values, bits)
    assert found is not None and np.array_equal(found.values, values)
    relative = ((values - weight) ** 2).sum(axis=1) / (weight**2).sum(axis=1)
    assert relative.max() < {1: 0.9, 2: 0.4, 3: 0.15, 5: 0.05}[bits]


def test_channels_of_next_to_nothing_are_zero():
    weight = np.random.default_rng(0).normal(size=(4, 16))
    weight[1] *= 2.0**-20
    weight[2] = 0
    codes, _ = find_scheme("codebook2").quantize_weights(conv(weight), inputs(16))
    assert not codes[1:3].any() and codes[0].any() and codes[3].any()


def test_a_layer_of_zeros_stays_one():
    codes, fraction = find_scheme("codebook2").quantize_weights(conv(np.zeros((3, 4))), inputs(4))
    assert not codes.any() and fraction.tolist() == [0, 0, 0]


@pytest.mark.parametrize("suffix", ["", "q5"])
def test_networks_err_less_with_more_values(suffix):
    torch.manual_seed(0)
    trainable = NETWORKS["lenet"]
    x = torch.randn(32, *trainable.input_shape)
    model = trainable.make().eval()
    graph = load(model, trainable.input_shape)
    with torch.no_grad():
        exact = model(x).numpy()
    errors = []
    for bits in (1, 2, 4):
        qgraph = quantize(graph, x.numpy(), f"codebook{bits}{suffix}")
        for layer in qgraph.layers:
            if isinstance(layer, QConv):
                assert len(np.unique(layer.weight[layer.weight != 0])) < 1 << bits
        outputs = predict(qgraph, x.numpy()).reshape(32, -1)
        errors.append(float(((outputs - exact) ** 2).mean() / exact.var()))
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.1
