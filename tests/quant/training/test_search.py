"""The search of bits and clipping: budget, the same choice again, a missing package."""

import builtins

import pytest
import torch
from torch import nn

from quant.errors import NoMulError
from quant.training.methods.clipq import ClipQ, ClipQOptions, CodebookWeight
from quant.training.search import mean_bits, search_partitions
from quant.training.weights import parametrized

COUNTS = [100, 300, 50]


def loss(settings: list[tuple[int, float]]) -> float:
    """The second layer needs its bits, the others little; clipping a quarter is best."""
    needs = (1.0, 30.0, 0.3)
    return sum(n * 4.0**-b + (p - 0.25) ** 2 for n, (b, p) in zip(needs, settings))


def test_the_best_within_the_budget_is_found():
    pytest.importorskip("optuna", reason="the package optuna is not installed")
    even = loss([(2, 0.2)] * 3)
    found = search_partitions(loss, COUNTS, 2.5, (2, 0.2), trials=60)
    assert mean_bits(found, COUNTS) <= 2.5
    assert loss(found) < 0.8 * even and found[1][0] > found[2][0]
    assert search_partitions(loss, COUNTS, 2.5, (2, 0.2), trials=60) == found


def test_one_bit_is_a_budget():
    pytest.importorskip("optuna", reason="the package optuna is not installed")
    found = search_partitions(loss, COUNTS, 1.0, (4, 0.2), trials=1)
    assert found == [(1, 0.2)] * 3


def test_a_searched_network_keeps_its_budget():
    pytest.importorskip("optuna", reason="the package optuna is not installed")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5)).eval()
    method = ClipQ(ClipQOptions(bits=3, budget=3.0, trials=5))
    wrapped = method.wrap(model, torch.randn(32, 1, 5, 5))
    chosen = [
        (weight.partition.bits, layer.weight.numel())
        for layer, weight in parametrized(wrapped, CodebookWeight)
    ]
    assert sum(bits * count for bits, count in chosen) <= 3.0 * sum(count for _, count in chosen)
    for found, layer in zip(parametrized(wrapped, CodebookWeight), (model[0], model[3])):
        assert torch.equal(found[0].parametrizations.weight.original, layer.weight)


def test_without_the_package_one_line_says_so(monkeypatch):
    original = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "optuna":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(NoMulError, match=r"needs the package optuna; install it with: pip instal"):
        search_partitions(loss, COUNTS, 2.5, (2, 0.2), trials=1)
