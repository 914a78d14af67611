"""From sensitivities and budgets to widths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quant.allocation.allocation import TAG_BITS, Allocation
from quant.allocation.budget import Budget
from quant.allocation.program import choose, options_of
from quant.allocation.sensitivity import Sensitivity
from quant.allocation.tables import WIDTHS
from quant.errors import NoMulError

__all__ = ["CycleCosts", "Groups", "allocate", "groups_in_order", "layer_groups", "uniform"]

Groups = Mapping[str, list[np.ndarray]]
"""Output channels of each convolution that share a width, by its name."""


@dataclass(frozen=True)
class CycleCosts:
    """Cycles on a machine, as data.

    Parameters
    ----------
    layers : mapping of float64 (widths,)
        Of each convolution, if all its weights have that width; a group of its channels takes its
        share of them.
    fixed : float
        Of all else.
    """

    layers: Mapping[str, np.ndarray]
    fixed: float


def layer_groups(sensitivity: Sensitivity) -> Groups:
    """One width a layer."""
    return {name: [np.arange(len(cost))] for name, cost in sensitivity.costs.items()}


def groups_in_order(
    sensitivity: Sensitivity, size: int, orders: Mapping[str, np.ndarray] | None = None
) -> Groups:
    """Groups of ``size`` output channels, one after another in an order.

    By default each layer's own, from the most sensitive channel to the least.
    """
    groups = {}
    for name, cost in sensitivity.costs.items():
        order = sensitive_first(cost) if orders is None else orders[name]
        groups[name] = [order[start : start + size] for start in range(0, len(order), size)]
    return groups


def sensitive_first(cost: np.ndarray) -> np.ndarray:
    """Channels from the one that the least width costs most."""
    return np.argsort(-cost[:, 0], kind="stable")


def uniform(sensitivity: Sensitivity, bits: int) -> Allocation:
    """One width for all weights."""
    widths = {name: np.full(len(cost), bits) for name, cost in sensitivity.costs.items()}
    return Allocation(sensitivity.kind, sensitivity.rounding, widths, sensitivity.elements)


def allocate(
    sensitivity: Sensitivity,
    budgets: Sequence[Budget],
    groups: Groups,
    cycles: CycleCosts | None = None,
) -> Allocation:
    """The widths of least cost within all budgets.

    Parameters
    ----------
    sensitivity : Sensitivity
    budgets : sequence of Budget
        One or two.
    groups : Groups
    cycles : CycleCosts, optional
        Needed for a budget of cycles.

    Errors: :class:`NoMulError` where the least widths are over a budget.
    """
    names = list(sensitivity.costs)
    options = []
    for name in names:
        errors = np.stack([sensitivity.costs[name][group].sum(axis=0) for group in groups[name]])
        costs = [group_costs(sensitivity, budget, groups, cycles, name) for budget in budgets]
        options.append(options_of(errors, np.stack(costs, axis=2)))
    limits = [limit_of(sensitivity, budget, cycles) for budget in budgets]
    least = [sum(layer.costs[:, i].min() for layer in options) for i in range(len(budgets))]
    for budget, limit, lowest in zip(budgets, limits, least):
        if lowest > limit:
            raise NoMulError(
                f"a budget of {budget.most:,g} {budget.unit} is less than weights of "
                f"{WIDTHS[0]} bits take; raise it above "
                f"{budget.most * lowest / limit if limit > 0 else lowest:,.6g} {budget.unit}"
            )
    chosen = choose(options, limits)
    bits = {}
    for name, layer, option in zip(names, options, chosen):
        widths = np.zeros(len(sensitivity.costs[name]), np.int64)
        for group, choice in zip(groups[name], layer.choices[option]):
            widths[group] = WIDTHS[choice]
        bits[name] = widths
    return Allocation(sensitivity.kind, sensitivity.rounding, bits, sensitivity.elements)


def group_costs(
    sensitivity: Sensitivity,
    budget: Budget,
    groups: Groups,
    cycles: CycleCosts | None,
    name: str,
) -> np.ndarray:
    """What a layer's groups take of a budget: float64 [groups, widths]."""
    count = np.array([len(group) for group in groups[name]], np.float64)[:, None]
    if budget.unit == "cycles":
        if cycles is None:
            raise NoMulError("a budget of cycles needs a machine; name it")
        return count / count.sum() * cycles.layers[name]
    bits = count * sensitivity.elements[name] * np.array(WIDTHS)
    if budget.unit == "bytes":
        bits = bits + TAG_BITS * (count if len(count) > 1 else 1)
    return bits


def limit_of(sensitivity: Sensitivity, budget: Budget, cycles: CycleCosts | None) -> float:
    """A budget in the unit of :func:`group_costs`."""
    if budget.unit == "bits":
        return budget.most * sensitivity.weights
    if budget.unit == "bytes":
        return budget.most * 8
    return budget.most - (cycles.fixed if cycles else 0.0)
