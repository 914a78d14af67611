import numpy as np
import pytest
import torch

from quant.allocation.network import FloatNetwork, batches, divergence
from quant.allocation.probe import rounded_weights
from quant.allocation.sensitivity import (
    FLOOR,
    MEASURES,
    by_fisher,
    by_hessian,
    measure_sensitivity,
    weighted,
)
from quant.allocation.tables import WIDTHS
from quant.errors import NoMulError
from tests.quant.allocation.networks import images, small_graph

GRAPH, X = small_graph(), images(96)
NETWORK = FloatNetwork(GRAPH)


def exact_traces(graph, x):
    """The diagonal of the Hessian, by the Jacobian of the outputs, summed over channels."""
    network = FloatNetwork(graph)
    weights = network.weights()
    totals = {name: np.zeros(len(weight)) for name, weight in weights.items()}
    for image in torch.from_numpy(x):
        outputs = network.outputs(image[None], weights)[0]
        p = (outputs.detach()).softmax(0)
        rows = [
            torch.autograd.grad(output, list(weights.values()), retain_graph=True)
            for output in outputs
        ]
        for index, name in enumerate(weights):
            jacobian = torch.stack([row[index].flatten(1) for row in rows])
            mean = torch.einsum("k,kon->on", p, jacobian)
            variance = torch.einsum("k,kon->on", p, jacobian**2) - mean**2
            totals[name] += variance.sum(1).double().numpy() / len(x)
    return totals


@pytest.mark.parametrize("measure", [by_hessian, by_fisher])
def test_traces_are_those_of_the_hessian(measure):
    expected = exact_traces(GRAPH, X)
    network, random = FloatNetwork(GRAPH), torch.Generator().manual_seed(0)
    found = {name: 0.0 for name in expected}
    for x in batches(X, 8):
        for name, part in measure(network, x, {}, random).items():
            found[name] = found[name] + part / len(X)
    for name, trace in expected.items():
        assert found[name].sum() == pytest.approx(trace.sum(), rel=0.25)


def test_weight_costs_are_trace_times_error():
    rounded = {conv.name: conv.weight[None] + np.float32(0.5) for conv in NETWORK.convolutions}
    traces = {name: np.arange(len(values[0]), dtype=float) for name, values in rounded.items()}
    for name, cost in weighted(NETWORK, traces, rounded).items():
        trace = np.maximum(traces[name], FLOOR * traces[name].mean())
        assert cost[:, 0] == pytest.approx(0.5 * trace * 0.25, rel=1e-5)


def test_output_costs_estimate_the_divergence_of_one_channel():
    """A channel rounded alone, its mean error taken off by its bias, against the estimate."""
    found = measure_sensitivity(GRAPH, X, "log", "output", "nearest")
    network = FloatNetwork(GRAPH)
    conv = network.convolutions[1]
    rounded = rounded_weights(GRAPH, X, "log", "nearest")[conv.name]
    x = torch.from_numpy(X)
    weights = {c.name: torch.from_numpy(c.weight).clone() for c in network.convolutions}
    true = []
    with torch.no_grad():
        p = network.outputs(x).double().log_softmax(1)
        before = network.tensors(x)[conv.name]
        for channel in range(len(conv.weight)):
            changed = dict(weights)
            changed[conv.name] = weights[conv.name].clone()
            changed[conv.name][channel] = torch.from_numpy(rounded[0, channel])
            after = network.tensors(x, changed)[conv.name]
            shift = float((before - after)[:, channel].mean())
            conv.bias[channel] += shift
            q = network.outputs(x, changed).double().log_softmax(1)
            conv.bias[channel] -= shift
            true.append(float((p.exp() * (p - q)).sum(1).mean()))
    estimate = found.costs[conv.name][:, 0]
    assert estimate.sum() == pytest.approx(sum(true), rel=0.5)
    assert np.corrcoef(estimate, true)[0, 1] > 0.7


@pytest.mark.parametrize("measure", MEASURES)
def test_costs_fall_with_the_width_and_repeat(measure):
    first, second = (measure_sensitivity(GRAPH, X[:64], "uniform", measure) for _ in range(2))
    for name, cost in first.costs.items():
        assert (cost >= 0).all() and cost.shape[1] == len(WIDTHS)
        assert (np.diff(cost.sum(axis=0)) < 0).all()
        assert np.array_equal(cost, second.costs[name])


def test_the_divergence_is_flat():
    outputs = torch.randn(5, 4, requires_grad=True)
    divergence(outputs).backward()
    assert outputs.grad.abs().max() < 1e-6


def test_what_cannot_be():
    with pytest.raises(NoMulError, match="no sensitivity 'guess'; choose one of: output, hessian"):
        measure_sensitivity(GRAPH, X, "log", "guess")
    with pytest.raises(NoMulError, match="no weights of kind 'x'"):
        measure_sensitivity(GRAPH, X, "x")
