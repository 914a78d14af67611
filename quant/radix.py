"""Search for the best radix point of each tensor, at its width, around that of calibration."""

from collections.abc import Callable
from dataclasses import replace

import torch

from quant.calibrate import Method, squared_error
from quant.divergence import FIRST, divergence, spikes
from quant.errors import NoMulError
from quant.floating import to_tensor
from quant.formats import FormatPlan
from quant.histogram import BINS, Histogram
from quant.numbers import Format
from quant.rounded import Finish, rounded, walk

__all__ = ["SEARCHES", "find_search"]

Progress = Callable[[int, int | None, str], None]
Search = Callable[[FormatPlan, Progress | None], FormatPlan]
Measure = Callable[[Histogram, Format], float]

NEIGHBOURS = (0, 1, -1, 2, -2)  # what is added to a fraction; the first of equals is taken
IMAGES = 256  # that accuracy is measured on


def find_search(name: str) -> Search:
    """The search of a name: ``kl``, ``mse`` or ``accuracy``.

    Errors: :class:`NoMulError` that lists the known names.
    """
    if name not in SEARCHES:
        raise NoMulError(
            f"there is no search for radix points by {name!r}; choose one of: {', '.join(SEARCHES)}"
        )
    return SEARCHES[name]


def kl_divergence(histogram: Histogram, fmt: Format) -> float:
    """Divergence of a tensor's values from its codes; infinite for a range of too few bins.

    Both are powers of two, the range of a linear format and that of a histogram's bins.
    """
    levels = fmt.high + 1
    bins = levels * fmt.step * BINS / histogram.limit if histogram.limit else 0.0
    if bins < FIRST:
        return float("inf")
    counts = histogram.positive + histogram.negative
    return divergence(counts, spikes(counts), int(bins), levels)


def refined(method: Method, measure: Measure) -> Method:
    """A calibration method followed by the search among its neighbours."""

    def search(histogram: Histogram, bits: int) -> int:
        start = method(histogram, bits)

        def cost(step: int) -> float:
            return measure(histogram, Format(bits, histogram.signed, start + step))

        return start + min(NEIGHBOURS, key=cost)

    return search


def by_measure(measure: Measure) -> Search:
    """A search that looks at each tensor's histogram alone."""

    def search(plan: FormatPlan, progress: Progress | None) -> FormatPlan:
        return replace(plan, method=refined(plan.method, measure))

    return search


def by_accuracy(plan: FormatPlan, progress: Progress | None = None) -> FormatPlan:
    """Radix points with which most images keep the class that the float network gives them.

    Tensors are visited in data order. Each takes the best of its neighbours, given those before it
    as they were chosen and those behind it as calibrated; of equals that whose outputs err least.
    Weights are those of the float network.
    """
    graph = plan.graph
    formats = {name: plan.wish(name) for name in plan.free}
    images = to_tensor(plan.observed.sample[:IMAGES])
    expected = walk(graph, images, lambda name, values, finish: values)
    classes = expected.argmax(dim=1)
    total = len(graph.layers) + 1
    done = 0

    def visit(name: str, values: torch.Tensor, finish: Finish) -> torch.Tensor:
        nonlocal done
        done += 1
        if progress:
            progress(done, total, f"radix point of {name}")
        if name not in formats:
            return values

        def cost(fmt: Format) -> tuple[int, float]:
            found = finish(rounded(values, fmt), formats)
            wrong = int((found.argmax(dim=1) != classes).sum())
            return wrong, float((found - expected).double().square().sum())

        start = formats[name]
        choices = [replace(start, fraction=start.fraction + step) for step in NEIGHBOURS]
        formats[name] = min(choices, key=cost)
        return rounded(values, formats[name])

    walk(graph, images, visit)
    return replace(plan, fractions={name: fmt.fraction for name, fmt in formats.items()})


SEARCHES: dict[str, Search] = {
    "kl": by_measure(kl_divergence),
    "mse": by_measure(squared_error),
    "accuracy": by_accuracy,
}
