import pytest

from benchmarks.allocation import BUDGETS, gains, key, resnet50_sensitivity, rows
from quant.allocation.allocate import allocate, groups_in_order
from quant.allocation.budget import Budget


def test_gains_are_points_of_channels_over_layers():
    kept = {}
    for name, rounding, level, budget in rows():
        if level != "uniform" and name == "resnet8":
            label = key(name, rounding, level, budget)
            kept[f"{label}.top1"] = {"layer": 80.0, "channel": 82.5}[level]
    found = gains(kept)
    assert found == {
        f"resnet8.{rounding}.gain.{budget:g}": 2.5
        for rounding in ("nearest", "compensated")
        for budget in BUDGETS
    }


def test_the_shape_of_resnet50():
    costs = resnet50_sensitivity()
    assert sum(len(cost) for cost in costs.costs.values()) == 27560
    found = allocate(costs, [Budget("bits", 3.0)], groups_in_order(costs, 16))
    assert found.mean == pytest.approx(3.0, abs=0.01)
