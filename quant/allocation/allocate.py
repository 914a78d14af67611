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

__all__ = ["Groups", "MachineCosts", "allocate", "groups_in_order", "layer_groups", "uniform"]

Groups = Mapping[str, list[np.ndarray]]
"""Output channels of each convolution that share a width, by its name."""


@dataclass(frozen=True)
class MachineCosts:
    """What weights take on a machine, as data.

    Parameters
    ----------
    cycles, words : mapping of float64 (widths,)
        Cycles, and words of the weight memory, of each convolution if all its weights have that
        width; a group of its channels takes its share of them.
    fixed_cycles, fixed_words : float
        Of all else.
    capacity : int
        Words of the weight memory.
    """

    cycles: Mapping[str, np.ndarray]
    words: Mapping[str, np.ndarray]
    fixed_cycles: float
    fixed_words: float
    capacity: int


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
    machine: MachineCosts | None = None,
) -> Allocation:
    """The widths of least cost within all budgets, and within a machine's memory.

    Parameters
    ----------
    sensitivity : Sensitivity
    budgets : sequence of Budget
    groups : Groups
    machine : MachineCosts, optional
        Needed for a budget of cycles.

    Errors: :class:`NoMulError` where the least widths are over a budget.
    """
    names = list(sensitivity.costs)
    if machine is not None:
        budgets = [*budgets, Budget("words of weight memory", machine.capacity)]
    options = []
    for name in names:
        errors = np.stack([sensitivity.costs[name][group].sum(axis=0) for group in groups[name]])
        costs = [group_costs(sensitivity, budget, groups, machine, name) for budget in budgets]
        options.append(options_of(errors, np.stack(costs, axis=2)))
    limits = [limit_of(sensitivity, budget, machine) for budget in budgets]
    for index, (budget, limit) in enumerate(zip(budgets, limits)):
        missing = sum(layer.costs[:, index].min() for layer in options) - limit
        if missing > 0:
            scale = {"bits": sensitivity.weights, "bytes": 8}.get(budget.unit, 1)
            needed = budget.most + missing / scale
            raise NoMulError(
                f"{budget.most:,g} {budget.unit} are too few: with {WIDTHS[0]} bits all weights "
                f"take {needed:,.6g}; raise the budget, or take a smaller network"
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
    machine: MachineCosts | None,
    name: str,
) -> np.ndarray:
    """What a layer's groups take of a budget: float64 [groups, widths]."""
    count = np.array([len(group) for group in groups[name]], np.float64)[:, None]
    if budget.unit in ("bits", "bytes"):
        bits = count * sensitivity.elements[name] * np.array(WIDTHS)
        tags = TAG_BITS * (count if len(count) > 1 else 1) if budget.unit == "bytes" else 0
        return bits + tags
    if machine is None:
        raise NoMulError("a budget of cycles needs a machine; name one with --arch")
    layer = machine.cycles[name] if budget.unit == "cycles" else machine.words[name]
    return count / count.sum() * layer


def limit_of(sensitivity: Sensitivity, budget: Budget, machine: MachineCosts | None) -> float:
    """A budget in the unit of :func:`group_costs`."""
    if budget.unit == "bits":
        return budget.most * sensitivity.weights
    if budget.unit == "bytes":
        return budget.most * 8
    assert machine is not None  # or there would be no costs
    fixed = machine.fixed_cycles if budget.unit == "cycles" else machine.fixed_words
    return budget.most - fixed
