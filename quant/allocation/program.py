"""The integer program: one width for each item, least error within budgets, in two levels.

Level 2 is inside a layer: its groups' widths for every budget that the layer may get, which are the
points of the lower convex hull of cost and error. They follow from the groups' own hulls, because
errors and costs add up. Level 1 chooses a point for each layer by mixed-integer linear programming.
So variables are layers times points, however many channels there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from quant.errors import NoMulError

__all__ = ["Options", "choose", "frontier", "options_of"]

POINTS = 64  # of a layer's frontier that level 1 sees
GAP = 1e-5  # relative, from the optimum


@dataclass(frozen=True)
class Options:
    """What a layer can have.

    Parameters
    ----------
    choices : int [options, groups]
        Index of each group's width.
    errors : float64 [options]
    costs : float64 [options, budgets]
    """

    choices: np.ndarray
    errors: np.ndarray
    costs: np.ndarray


def options_of(errors: np.ndarray, costs: np.ndarray) -> Options:
    """The options of a layer that are worth a look.

    Parameters
    ----------
    errors : float64 [groups, widths]
    costs : float64 [groups, widths, budgets]
    """
    groups, widths = errors.shape
    if groups == 1:
        choices = np.arange(widths)[:, None]
    else:
        # Each budget alone against the error, and all of them together.
        relative = costs / np.maximum(costs.max(axis=(0, 1)), 1e-30)
        blends = [*np.moveaxis(relative, 2, 0), relative.mean(axis=2)][: 2 * costs.shape[2] - 1]
        choices = np.unique(np.concatenate([frontier(errors, cost) for cost in blends]), axis=0)
    group = np.arange(groups)
    return Options(choices, errors[group, choices].sum(axis=1), costs[group, choices].sum(axis=1))


def frontier(errors: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Choices of least error for their cost, from the cheapest to the best: int [points, groups].

    The points of the lower convex hull, at most ``POINTS`` of them.

    >>> frontier(np.array([[4.0, 1.0], [9.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])).tolist()
    [[0, 0], [0, 1], [1, 1]]
    """
    start, steps = [], []
    for group, (error, cost) in enumerate(zip(errors, costs)):
        corners = hull(error, cost)
        start.append(corners[0])
        for a, b in pairwise(corners):
            steps.append(((error[a] - error[b]) / (cost[b] - cost[a]), group, b))
    # A group's own slopes fall, so its steps come in their order.
    steps.sort(key=lambda step: -step[0])
    points = [np.array(start)]
    for _, group, choice in steps:
        points.append(points[-1].copy())
        points[-1][group] = choice
    kept = np.unique(np.linspace(0, len(points) - 1, POINTS).round().astype(int))
    return np.stack([points[index] for index in kept])


def hull(error: np.ndarray, cost: np.ndarray) -> list[int]:
    """Corners of the lower convex hull, from the cheapest to that of least error.

    >>> hull(np.array([9.0, 6.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    [0, 2]
    """
    order = np.lexsort((error, cost))
    corners = [int(order[0])]
    while True:
        last = corners[-1]
        better = np.flatnonzero((cost > cost[last]) & (error < error[last]))
        if not len(better):
            return corners
        slope = (error[last] - error[better]) / (cost[better] - cost[last])
        steepest = better[slope == slope.max()]
        corners.append(int(steepest[np.argmax(cost[steepest])]))


def choose(layers: Sequence[Options], limits: Sequence[float]) -> list[int]:
    """The option of each layer that makes the sum of errors least, within all limits.

    Errors: :class:`NoMulError` where not even the cheapest options stay within a limit.
    """
    count = [len(layer.errors) for layer in layers]
    errors = np.concatenate([layer.errors for layer in layers])
    costs = np.concatenate([layer.costs for layer in layers])
    ends = np.cumsum(count)
    rows = np.repeat(np.arange(len(layers)), count)
    one = csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))))
    # Both sides in units near 1, for the solver's tolerances.
    scale = max(float(errors.max()), 1e-30)
    unit = costs.max(axis=0)
    found = milp(
        errors / scale,
        integrality=np.ones(len(errors)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one, 1, 1),
            LinearConstraint((costs / unit).T, -np.inf, np.asarray(limits) / unit),
        ],
        options={"mip_rel_gap": GAP, "time_limit": 60},
    )
    if found.x is None:
        raise NoMulError("no choice of widths stays within the budget; raise it")
    chosen = np.split(found.x, ends[:-1])
    return [int(part.argmax()) for part in chosen]
