import numpy as np
import pytest

from quant.allocation.allocate import (
    MachineCosts,
    allocate,
    groups_in_order,
    layer_groups,
    uniform,
)
from quant.allocation.allocation import Allocation
from quant.allocation.budget import Budget
from quant.allocation.tables import WIDTHS
from quant.errors import NoMulError
from tests.quant.allocation.networks import sensitivity

COSTS = sensitivity()
MACHINE = MachineCosts(
    cycles={name: 100.0 * np.array([1, 1, 2, 2, 3, 3, 4]) for name in COSTS.costs},
    words={name: 10.0 * np.array([1, 1, 2, 2, 3, 3, 4]) for name in COSTS.costs},
    fixed_cycles=50.0,
    fixed_words=5.0,
    capacity=100,
)


def cost_of(found):
    return sum(
        float(COSTS.costs[name][np.arange(len(bits)), bits - WIDTHS[0]].sum())
        for name, bits in found.bits.items()
    )


@pytest.mark.parametrize("mean", [2.0, 2.5, 3.0, 7.9])
def test_channels_serve_better_than_layers_and_these_than_one_width(mean):
    budget = [Budget("bits", mean)]
    layers = allocate(COSTS, budget, layer_groups(COSTS))
    channels = allocate(COSTS, budget, groups_in_order(COSTS, 1))
    assert max(layers.mean, channels.mean) <= mean + 1e-9
    assert cost_of(channels) <= cost_of(layers) <= cost_of(uniform(COSTS, int(mean)))
    if mean not in (2.0,):
        assert cost_of(channels) < cost_of(layers)
    assert all(np.ptp(bits) == 0 for bits in layers.bits.values())


def test_groups_are_cut_from_the_most_sensitive_on():
    groups = groups_in_order(COSTS, 5)
    for name, cost in COSTS.costs.items():
        order = np.concatenate(groups[name])
        assert sorted(order) == list(range(len(cost)))
        assert (np.diff(cost[order, 0]) <= 0).all()
        assert [len(group) for group in groups[name][:-1]] == [5] * (len(groups[name]) - 1)
    found = allocate(COSTS, [Budget("bits", 3.0)], groups)
    for name, parts in groups.items():
        assert all(np.ptp(found.bits[name][part]) == 0 for part in parts)


def test_bytes_count_what_says_the_widths():
    found = allocate(COSTS, [Budget("bytes", 700)], groups_in_order(COSTS, 1))
    assert 660 < found.bytes <= 700
    alike = uniform(COSTS, 4)
    assert alike.bytes == -(-(4 * COSTS.weights + 3 * 3) // 8)
    assert alike.mean == 4.0


def test_cycles_and_the_weight_memory_limit():
    groups = groups_in_order(COSTS, 4)
    found = allocate(COSTS, [Budget("cycles", 650)], groups, MACHINE)
    taken = sum(
        100.0 * np.array([1, 1, 2, 2, 3, 3, 4])[bits - 2].mean() for bits in found.bits.values()
    )
    assert 550 < taken + 50 <= 650
    small = MachineCosts(MACHINE.cycles, MACHINE.words, 50.0, 5.0, 45)
    tight = allocate(COSTS, [Budget("cycles", 650)], groups, small)
    assert cost_of(tight) > cost_of(found)
    both = allocate(COSTS, [Budget("bits", 3.0), Budget("cycles", 500)], groups, MACHINE)
    assert both.mean <= 3.0


@pytest.mark.parametrize(
    "budget, machine, problem",
    [
        (Budget("bits", 1.5), None, "1.5 bits are too few: with 2 bits all weights take 2"),
        (Budget("bytes", 100), None, "100 bytes are too few: .* take 451"),
        (Budget("cycles", 300), MACHINE, "300 cycles are too few: .* take 350"),
        (Budget("cycles", 300), None, "needs a machine; name one with --arch"),
    ],
)
def test_what_cannot_be(budget, machine, problem):
    with pytest.raises(NoMulError, match=problem):
        allocate(COSTS, [budget], layer_groups(COSTS), machine)


def test_files(tmp_path):
    bits = {"a": np.array([2, 5, 3])}
    found = Allocation("log", "nearest", bits, {"a": 7}, {"t": 5}, {"a": np.array([2, 0, 1])})
    found.save(tmp_path / "a.json")
    again = Allocation.load(tmp_path / "a.json")
    assert again.to_dict() == found.to_dict()
    assert again.total == 70 and again.weights == 21
    assert again.scheme().weights["a"].tolist() == [3, 2, 5]
    assert again.scheme().activations_of("t").bits == 5
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(NoMulError, match=r"b\.json holds no allocation"):
        Allocation.load(tmp_path / "b.json")
