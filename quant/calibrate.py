"""Calibration: which power-of-two fraction the codes of each tensor get.

A method is a function ``(histogram, bits) -> fraction`` registered by name. The sign of a format
is what was observed: tensors without negative values are unsigned.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from quant.divergence import kl_threshold
from quant.errors import NoMulError
from quant.floating import visit_float
from quant.graph import Graph
from quant.histogram import BINS, Histogram
from quant.named import Named, find
from quant.numbers import Format
from quant.reference import check_images

__all__ = [
    "Method",
    "Observations",
    "find_method",
    "kl",
    "min_max",
    "mse",
    "observe",
    "percentile",
    "rounding_error",
    "squared_error",
]

Method = Callable[[Histogram, int], int]

# Working memory, in values: of a batch, all tensors; of the images kept for layer-by-layer steps,
# eight times the largest tensor, as input, output, residual and a copy are held, in codes and
# in floats.
BATCH_VALUES = 1 << 25
SAMPLE_VALUES = 1 << 28
SAMPLE_IMAGES = 1024

FINER_OCTAVES = 8  # how far below the full range :func:`mse` looks


@dataclass(frozen=True)
class Observations:
    """What calibration images showed.

    Parameters
    ----------
    histograms : dict of Histogram
        Of every tensor, over all images.
    sample : float32 (images, channels, height, width)
        The first images, as many as fit the memory that layer-by-layer steps may use.
    """

    histograms: dict[str, Histogram]
    sample: np.ndarray


def observe(
    graph: Graph,
    images: np.ndarray | Iterable[np.ndarray],
    progress: Callable[[int, int | None, str], None] | None = None,
) -> Observations:
    """Run the float network on calibration images and gather statistics of every tensor.

    Parameters
    ----------
    images : float32 (images, channels, height, width), or an iterable of such batches
        Preprocessed; in random order, as the first of them also serve layer-by-layer steps. An
        iterable is walked once, and memory does not grow with its length.
    progress : function (done, total, label), optional
        Called after each batch; the total is None for an iterable.

    Errors: :class:`NoMulError` without images, for a wrong shape or type, for NaN or infinity in
    images or in a tensor of the network.
    """
    histograms = {name: Histogram() for name in (graph.input, *(x.name for x in graph.layers))}
    kept: list[np.ndarray] = []
    sizes = [int(np.prod(graph.shape_of(name))) for name in histograms]
    sample_size = int(np.clip(SAMPLE_VALUES // (8 * max(sizes)), 1, SAMPLE_IMAGES))
    batch = int(np.clip(BATCH_VALUES // sum(sizes), 1, 64))
    total = len(images) if isinstance(images, np.ndarray) else None
    done = 0

    def visit(name: str, values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            raise NoMulError(
                f"tensor {name} of {graph.name} becomes NaN or infinite on calibration images; "
                "check their preprocessing and the weights"
            )
        histograms[name].add(values)

    for part in _parts(graph, images, batch):
        visit_float(graph, part, visit, batch)
        if done < sample_size:
            kept.append(part[: sample_size - done].copy())
        done += len(part)
        if progress:
            progress(done, total, "calibration")
    if not done:
        raise NoMulError(
            f"there are no calibration images for {graph.name}; give some hundred training images"
        )
    return Observations(histograms, np.concatenate(kept))


def _parts(
    graph: Graph, images: np.ndarray | Iterable[np.ndarray], batch: int
) -> Iterator[np.ndarray]:
    """Checked pieces of at most ``batch`` images."""
    if not isinstance(images, np.ndarray) and not isinstance(images, Iterable):
        check_images(images, graph.input_shape, graph.name)
    for given in [images] if isinstance(images, np.ndarray) else images:
        check_images(given, graph.input_shape, graph.name)
        for start in range(0, len(given), batch):
            yield given[start : start + batch]


def find_method(name: str) -> Method:
    """The calibration method of a name.

    Errors: :class:`NoMulError` that lists the known names.
    """
    method, parameters = find("calibration", name, METHODS)
    if not parameters:
        return method
    share = float(parameters["share"])
    if not 0 < share <= 100:
        raise NoMulError(f"calibration {name} asks for {share} %; a percentile is above 0, to 100")
    return lambda histogram, bits: method(histogram, bits, share)


def min_max(histogram: Histogram, bits: int) -> int:
    """Largest fraction at which no observed value saturates, after rounding.

    >>> histogram = Histogram()
    >>> histogram.add(np.array([3.0, 255.0]))
    >>> min_max(histogram, 8)
    0
    """
    return _finest(histogram.low, histogram.high, bits, histogram.signed)


def percentile(histogram: Histogram, bits: int, share: float = 99.99) -> int:
    """Largest fraction at which ``share`` percent of the values, by size, do not saturate.

    Exact to one bin of the histogram.
    """
    if histogram.limit == 0:
        return 0
    within = histogram.zeros + np.cumsum(histogram.positive + histogram.negative)
    index = int(np.searchsorted(within, share / 100 * within[-1]))
    size = float(histogram.edges[index + 1])
    return _finest(max(histogram.low, -size), min(histogram.high, size), bits, histogram.signed)


def mse(histogram: Histogram, bits: int) -> int:
    """Fraction of least mean squared error, rounding and saturation together."""
    coarsest = min_max(histogram, bits)
    candidates = range(coarsest, coarsest + FINER_OCTAVES + 1)
    return min(
        candidates,
        key=lambda fraction: squared_error(histogram, Format(bits, histogram.signed, fraction)),
    )


def squared_error(histogram: Histogram, fmt: Format) -> float:
    """Sum of squared errors of a tensor's codes, in units of the histogram's bins.

    Values are taken as spread evenly within their bin of the histogram.
    """
    return rounding_error(histogram, fmt.step, fmt.low, fmt.high)


def rounding_error(histogram: Histogram, step: float, low: int, high: int) -> float:
    """The same for codes ``low .. high`` of any step."""
    sides = ((histogram.positive, high), (histogram.negative, -low))
    return sum(
        float(counts @ np.diff(_error_integral(histogram.edges, step, largest)))
        for counts, largest in sides
        if counts.any()
    )


def kl(histogram: Histogram, bits: int) -> int:
    """Largest fraction at which nothing up to the KL threshold saturates.

    The threshold is that of :func:`quant.divergence.kl_threshold`, with as many levels as the
    format has for sizes; exact to one bin of the histogram. Where levels are as many as bins or
    more, as with 16 bits, the histogram shows nothing but saturation as a loss; then nothing
    observed saturates, and one bit is left for larger values in other images.
    """
    levels = 1 << (bits - histogram.signed)
    if levels >= BINS:
        return min_max(histogram, bits) - 1
    size = kl_threshold(histogram, levels)
    return _finest(max(histogram.low, -size), min(histogram.high, size), bits, histogram.signed)


METHODS = (
    Named(r"kl", "kl", kl),
    Named(r"min-max", "min-max", min_max),
    Named(r"percentile(?P<share>\d+(\.\d+)?)?", "percentile<share> (99.99)", percentile),
    Named(r"mse", "mse", mse),
)


def _finest(low: float, high: float, bits: int, signed: bool) -> int:
    """Largest fraction at which ``low`` and ``high`` round to codes within the format."""
    if low == 0 and high == 0:
        return 0
    fraction = bits - int(np.floor(np.log2(max(high, -low)))) + 1

    def fits(fraction: int) -> bool:
        fmt = Format(bits, signed, fraction)
        codes = np.rint(np.ldexp([low, high], fraction))
        return fmt.low <= codes[0] and codes[1] <= fmt.high

    while not fits(fraction):
        fraction -= 1
    return fraction


def _error_integral(x: np.ndarray, step: float, largest: int) -> np.ndarray:
    """Integral from 0 to ``x`` of the squared error of rounding to multiples of ``step``.

    Codes end at ``largest``. Each whole code adds ``step**3 / 12``, the started one a cube.
    """
    code = np.minimum(np.rint(x / step), largest)
    return code * step**3 / 12 + (x - code * step) ** 3 / 3
