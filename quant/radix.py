"""Search for the best radix point of each tensor, at its width, around that of calibration."""

from collections.abc import Callable
from dataclasses import replace

import torch

from quant.calibrate import Method, squared_error
from quant.divergence import divergence, spikes
from quant.errors import NoMulError
from quant.floating import run_layer, to_tensor
from quant.formats import FormatPlan
from quant.histogram import BINS, Histogram
from quant.numbers import Format

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
    """Divergence of a tensor's values from its codes.

    Both are powers of two, the range of a linear format and that of a histogram's bins.
    """
    levels = fmt.high + 1
    bins = levels * fmt.step * BINS / histogram.limit if histogram.limit else 1.0
    if bins < 1:
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
    order = [graph.input, *(layer.name for layer in graph.layers)]

    def run(tensors: dict[str, torch.Tensor], first: int, quantized: bool) -> torch.Tensor:
        """The output, from all layers from ``first`` on."""
        tensors = dict(tensors)
        for layer in graph.layers[first:]:
            made = run_layer(layer, [tensors[name] for name in layer.inputs])
            fmt = formats.get(layer.name) if quantized else None
            tensors[layer.name] = made if fmt is None else rounded(made, fmt)
        return tensors[graph.output].flatten(1)

    with torch.no_grad():
        expected = run({graph.input: images}, 0, False)
        classes = expected.argmax(dim=1)
        tensors: dict[str, torch.Tensor] = {}
        for index, name in enumerate(order):
            made = images
            if index:
                layer = graph.layers[index - 1]
                made = run_layer(layer, [tensors[source] for source in layer.inputs])
            start = formats.get(name)
            if start is not None:

                def cost(fmt: Format) -> tuple[int, float]:
                    found = run({**tensors, name: rounded(made, fmt)}, index, True)  # noqa: B023
                    wrong = int((found.argmax(dim=1) != classes).sum())
                    return wrong, float((found - expected).double().square().sum())

                choices = [replace(start, fraction=start.fraction + step) for step in NEIGHBOURS]
                formats[name] = min(choices, key=cost)
                made = rounded(made, formats[name])
            tensors[name] = made
            needed = {source for layer in graph.layers[index:] for source in layer.inputs}
            tensors = {name: tensors[name] for name in tensors if name in needed}
            if progress:
                progress(index + 1, len(order), f"radix point of {name}")
    return replace(plan, fractions={name: fmt.fraction for name, fmt in formats.items()})


def rounded(values: torch.Tensor, fmt: Format) -> torch.Tensor:
    """The values that a linear format can hold, nearest to these."""
    codes = torch.ldexp(values, torch.tensor(fmt.fraction)).round().clamp(fmt.low, fmt.high)
    return torch.ldexp(codes, torch.tensor(-fmt.fraction))


SEARCHES: dict[str, Search] = {
    "kl": by_measure(kl_divergence),
    "mse": by_measure(squared_error),
    "accuracy": by_accuracy,
}
