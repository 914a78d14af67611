"""P and B of each layer by Bayesian optimization under a size budget (Tung and Mori, CVPR 2018)."""

import math
from collections.abc import Callable, Sequence

from quant.codebooks import INDEX_BITS
from quant.errors import NoMulError

__all__ = ["Setting", "mean_bits", "search_partitions"]

Setting = tuple[int, float]
"""Bits of an index and share that is clipped, of one layer."""

CLIP = (0.0, 0.6)
CLIP_STEP = 0.05
SEED = 0
PROPOSALS = 20


def mean_bits(settings: Sequence[Setting], counts: Sequence[int]) -> float:
    """Mean bits of an index over all weights.

    >>> mean_bits([(2, 0.2), (4, 0.2)], [300, 100])
    2.5
    """
    total = sum(bits * count for (bits, _), count in zip(settings, counts, strict=True))
    return total / sum(counts)


def search_partitions(
    loss: Callable[[list[Setting]], float],
    counts: Sequence[int],
    budget: float,
    start: Setting,
    trials: int,
) -> list[Setting]:
    """The settings of least loss whose mean bits are within the budget.

    A tree-structured Parzen estimator proposes settings. What is over the budget is not measured:
    it counts as worse than all that was, and the more so the more bits it has.

    Parameters
    ----------
    loss : function of the settings of all layers to a number
    counts : weights of each layer
    budget : mean bits of an index
    start : what is tried first, in all layers; with fewer bits where the budget has fewer
    trials : settings that are measured, at most; ``PROPOSALS`` times as many are proposed

    Errors: :class:`NoMulError` without the package optuna.
    """
    try:
        import optuna
    except ImportError:
        raise NoMulError(
            "the search of bits and clip needs the package optuna; install it with: "
            "pip install 'nomul[search]', or leave out the option budget"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    first = (min(start[0], max(int(budget), INDEX_BITS[0])), _on_grid(start[1]))
    study.enqueue_trial(
        {name: value for i in range(len(counts)) for name, value in zip(_names(i), first)}
    )
    best: tuple[float, list[Setting]] = (math.inf, [])
    measured, worst = 0, 0.0
    for _ in range(PROPOSALS * trials):
        if measured == trials:
            break
        trial = study.ask()
        settings = []
        for bits, clip in map(_names, range(len(counts))):
            width = trial.suggest_int(bits, *INDEX_BITS)
            settings.append((width, trial.suggest_float(clip, *CLIP, step=CLIP_STEP)))
        excess = mean_bits(settings, counts) - budget
        if excess > 0:
            study.tell(trial, worst + excess)
            continue
        value = loss(settings)
        study.tell(trial, value)
        measured, worst = measured + 1, max(worst, value)
        best = min(best, (value, settings))
    return best[1]


def _names(layer: int) -> tuple[str, str]:
    """Of a layer's parameters."""
    return f"bits{layer}", f"clip{layer}"


def _on_grid(clip: float) -> float:
    """The nearest share that the search knows."""
    return min(round(min(max(clip, CLIP[0]), CLIP[1]) / CLIP_STEP) * CLIP_STEP, CLIP[1])
