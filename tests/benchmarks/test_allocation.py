import pytest

from benchmarks.allocation import BUDGETS, WEIGHTS, gains, resnet50_sensitivity, rows
from quant.allocation.allocate import allocate, groups_in_order
from quant.allocation.budget import Budget


def test_gains_are_points_of_channels_over_layers():
    tops = {"layer": 80.0, "channel": 82.5}
    kept = {f"{row.key}.top1": tops[row.level] for row in rows() if row.level in tops}
    only = {key: top for key, top in kept.items() if key.startswith("resnet8")}
    assert gains(only) == {
        f"resnet8.{kind}.{rounding}.gain.{budget:g}": 2.5
        for kind, rounding in WEIGHTS
        for budget in BUDGETS
    }
    # Of the first kind of weights the worse network.
    kept["resnet20.uniform.nearest.channel.2.5.top1"] = 81.0
    found = gains(kept)
    assert (found["gain.bits3_0"], found["gain.bits2_5"]) == (2.5, 1.0)


def test_the_shape_of_resnet50():
    costs = resnet50_sensitivity()
    assert sum(len(cost) for cost in costs.costs.values()) == 27560
    found = allocate(costs, [Budget("bits", 3.0)], groups_in_order(costs, 16))
    assert found.mean == pytest.approx(3.0, abs=0.01)
