"""Searches for radix points against trying all of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from quant.calibrate import find_method, min_max, observe
from quant.errors import NoMulError
from quant.floating import run_float
from quant.formats import FormatPlan
from quant.histogram import Histogram
from quant.mixed import MixedScheme
from quant.numbers import Format, dequantize, quantize
from quant.radix import NEIGHBOURS, by_accuracy, find_search, kl_divergence
from quant.rounded import rounded, walk
from quant.schemes import find_scheme
from tests.quant.test_quantize import Network, images


def plan_of(method: str = "min-max", scheme: str = "int8a4") -> FormatPlan:
    net = Network()
    net.relu(net.conv(net.pool(net.relu(net.conv("x", 8)))))
    graph = net.graph()
    mixed = MixedScheme(find_scheme(scheme))
    return FormatPlan(graph, observe(graph, images(64)), find_method(method), mixed)


def tailed(signed: bool) -> np.ndarray:
    values = np.random.default_rng(0).standard_t(3, 20_000)
    return values if signed else np.abs(values)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
def test_mse_finds_the_best_neighbour(signed, bits):
    values = tailed(signed)
    histogram = Histogram()
    histogram.add(values)
    start = min_max(histogram, bits)

    def error(fraction: int) -> float:
        found = dequantize(quantize(values, Format(bits, signed, fraction)), fraction)
        return float(((found - values) ** 2).sum())

    plan = find_search("mse")(plan_of(), None)
    assert plan.method(histogram, bits) == min((start + n for n in NEIGHBOURS), key=error)


@pytest.mark.parametrize("bits", [4, 8])
def test_kl_prefers_ranges_near_its_threshold(bits):
    histogram = Histogram()
    histogram.add(tailed(True))
    divergences = {
        fraction: kl_divergence(histogram, Format(bits, True, fraction))
        for fraction in range(-4, 12)
    }
    best = min(divergences, key=divergences.__getitem__)
    found = find_search("kl")(plan_of("kl"), None).method(histogram, bits)
    assert found == best
    # Wholly saturated, and far too coarse.
    assert divergences[11] > divergences[best] < divergences[-4]


def test_a_tensor_of_zeros_stays_as_it_is():
    histogram = Histogram()
    histogram.add(np.zeros(4))
    for name in ("kl", "mse"):
        assert find_search(name)(plan_of(), None).method(histogram, 8) == 0


def test_accuracy_keeps_most_classes():
    plan = plan_of()
    calls = []
    found = by_accuracy(plan, lambda *call: calls.append(call))
    assert set(found.fractions) == set(plan.free)
    assert calls[-1][0] == calls[-1][1] == len(plan.graph.layers) + 1
    x = plan.observed.sample

    def outcome(chosen: FormatPlan) -> tuple[int, float]:
        """Wrong classes and squared error, the float network with rounded tensors."""

        def visit(name, values, finish):
            return rounded(values, chosen.wish(name)) if name in chosen.free else values

        outputs = walk(chosen.graph, torch.from_numpy(x), visit).numpy()
        exact = run_float(chosen.graph, x, keep=[chosen.graph.output])[chosen.graph.output]
        exact = exact.reshape(len(x), -1)
        wrong = int((outputs.argmax(axis=1) != exact.argmax(axis=1)).sum())
        return wrong, float(((outputs - exact) ** 2).sum())

    assert outcome(found) < outcome(plan)
    coarse = replace(plan, fractions={name: plan.wish(name).fraction - 2 for name in plan.free})
    assert outcome(by_accuracy(coarse)) < outcome(coarse)


def test_unknown_searches_are_refused():
    with pytest.raises(NoMulError, match="no search for radix points by 'luck'; choose one of: kl"):
        find_search("luck")
