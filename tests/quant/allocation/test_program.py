import itertools

import numpy as np
import pytest

from quant.allocation.program import choose, frontier, hull, options_of
from quant.errors import NoMulError


def random_layers(seed, layers=3, groups=3, widths=3, budgets=1):
    random = np.random.default_rng(seed)
    for _ in range(layers):
        errors = np.sort(random.random((groups, widths)), axis=1)[:, ::-1]
        costs = np.sort(random.random((groups, widths, budgets)), axis=1)
        yield errors, costs


def best_by_trying(layers, limits):
    """Least error of all choices within the limits."""
    items = [(e, c) for errors, costs in layers for e, c in zip(errors, costs)]
    best = np.inf
    for choice in itertools.product(*(range(len(e)) for e, _ in items)):
        cost = sum(c[k] for (_, c), k in zip(items, choice))
        if (cost <= limits).all():
            best = min(best, sum(e[k] for (e, _), k in zip(items, choice)))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_single_groups_are_chosen_best(seed):
    layers = list(random_layers(seed, layers=5, groups=1, widths=4, budgets=2))
    options = [options_of(*layer) for layer in layers]
    limits = np.array([2.6, 2.8])
    chosen = choose(options, limits)
    found = sum(o.errors[k] for o, k in zip(options, chosen))
    assert (sum(o.costs[k] for o, k in zip(options, chosen)) <= limits + 1e-9).all()
    assert found == pytest.approx(best_by_trying(layers, limits), rel=1e-4)


def test_points_of_a_frontier_are_best_for_their_cost():
    ((errors, costs),) = random_layers(1, layers=1, groups=4, widths=4)
    points = frontier(errors, costs[..., 0])
    for point in points:
        cost = costs[np.arange(4), point, 0].sum()
        error = errors[np.arange(4), point].sum()
        assert error == pytest.approx(best_by_trying([(errors, costs)], np.array([cost + 1e-12])))
    assert points[0].tolist() == [0, 0, 0, 0] and points[-1].tolist() == [3, 3, 3, 3]


def test_a_long_frontier_is_thinned_but_keeps_its_ends():
    ((errors, costs),) = random_layers(2, layers=1, groups=100, widths=4)
    points = frontier(errors, costs[..., 0])
    assert len(points) == 64
    assert not points[0].any() and (points[-1] == 3).all()


def test_a_hull_leaves_out_what_no_trade_chooses():
    error, cost = np.array([10.0, 9.0, 4.0, 4.5]), np.array([1.0, 2.0, 3.0, 4.0])
    assert hull(error, cost) == [0, 2]
    assert hull(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == [0]


def test_groups_in_two_budgets_stay_within_both():
    layers = list(random_layers(3, layers=2, groups=3, widths=3, budgets=2))
    options = [options_of(*layer) for layer in layers]
    limits = np.array([3.0, 3.2])
    chosen = choose(options, limits)
    found = sum(o.errors[k] for o, k in zip(options, chosen))
    assert (sum(o.costs[k] for o, k in zip(options, chosen)) <= limits + 1e-9).all()
    assert found <= 1.25 * best_by_trying(layers, limits)


def test_nothing_fits():
    options = [options_of(*layer) for layer in random_layers(0)]
    with pytest.raises(NoMulError, match="no choice of widths stays within the budget; raise it"):
        choose(options, [1e-6])
