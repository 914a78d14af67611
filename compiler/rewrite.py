"""Layers as others that the machine has: average pooling and shifts as convolutions, for example.

Each function gives a layer that computes exactly the same integers.
"""

import dataclasses
import itertools
from operator import itemgetter

import numpy as np

from compiler.layout import FOLDED, Unfolding
from compiler.widths import check_shift
from quant.graph import Window
from quant.quantized import QAdd, QAvgPool, QConv, QLayer, QRequantize

__all__ = [
    "add_as_convolution",
    "pool_as_convolution",
    "requantize_as_convolution",
    "space_to_depth",
    "unfold_convolution",
    "unfolding_of",
]


def add_as_convolution(layer: QAdd) -> QConv:
    """``(a << s0) + (b << s1)`` as a 1x1 convolution of ``a`` with the residual ``b``.

    Errors: :class:`NoMulError` for a left shift that no weight can hold.
    """
    check_shift(layer.name, "left shift", layer.shifts[0])
    channels = layer.shape[0]
    weight = np.eye(channels, dtype=np.int64)[:, :, None, None] << layer.shifts[0]
    return convolution(layer, weight, Window(), 1, layer.shift, layer.shifts[1])


def pool_as_convolution(layer: QAvgPool) -> QConv:
    """``sum(x) * multiplier`` as a depthwise convolution whose weights are the multiplier."""
    weight = np.full((layer.shape[0], 1, *layer.window.kernel), layer.multiplier, np.int64)
    return convolution(layer, weight, layer.window, layer.shape[0], layer.shift)


def requantize_as_convolution(layer: QRequantize, left: int) -> QConv:
    """``x << left`` as a depthwise 1x1 convolution with the weight ``2**left``.

    Errors: :class:`NoMulError` for a left shift that no weight can hold.
    """
    check_shift(layer.name, "left shift", left)
    weight = np.full((layer.shape[0], 1, 1, 1), 1 << left, np.int64)
    return convolution(layer, weight, Window(), layer.shape[0], 0)


def convolution(
    layer: QLayer,
    weight: np.ndarray,
    window: Window,
    groups: int,
    shift: int,
    residual_shift: int = 0,
) -> QConv:
    """A convolution without bias in the place of a layer."""
    each = np.ones(layer.shape[0], np.int64)
    return QConv(
        name=layer.name,
        inputs=layer.inputs,
        shape=layer.shape,
        format=layer.format,
        low=layer.low,
        high=layer.high,
        weight=weight,
        weight_fraction=0 * each,
        bias=0 * each,
        shift=shift * each,
        residual_shift=residual_shift * each,
        window=window,
        groups=groups,
        scheme="",
        rounding=layer.rounding,
        seed=layer.seed,
    )


def unfolding_of(layer: QConv, lanes: int, vector_words: int) -> Unfolding:
    """How the input of a convolution is best stored: with several pixels of an image in a word.

    Of all ways that need no more memory than a word a pixel, that with the fewest vectors of
    ``vector_words`` words for an output, then the fewest words, then the fewest pixels of a word.
    """
    window, channels = layer.window, layer.weight.shape[1]
    if layer.groups > 1 or window.dilation != (1, 1) or 2 * channels > lanes:
        return FOLDED
    ways = [
        way
        for rows, columns in itertools.product(*(range(1, size + 1) for size in window.kernel))
        for way in [side_by_side(layer, rows, columns, lanes, vector_words)]
        if way is not None
    ]
    return min(ways, key=itemgetter(0))[1]


def side_by_side(
    layer: QConv, rows: int, columns: int, lanes: int, vector_words: int
) -> tuple[tuple, Unfolding] | None:
    """So many pixels of an image in a word, and what that costs; None where it cannot be."""
    window, channels = layer.window, layer.weight.shape[1]
    counts = rows, columns
    # Where a stride is no longer than what is side by side, it vanishes.
    down, across = (
        stride if count >= stride else 1 for stride, count in zip(window.stride, counts)
    )
    # Positions of the kernel must stand whole steps apart, unless there is one alone.
    apart = (
        count % step == 0 or count == size
        for count, step, size in zip(counts, (down, across), window.kernel)
    )
    words = -(-rows * columns * channels // lanes)
    if words > down * across or not all(apart):
        return None
    taps = -(-window.kernel[0] // rows) * -(-window.kernel[1] // columns)
    cost = -(-taps * words // vector_words), words / (down * across), rows * columns, columns
    if rows * columns == 1:
        return cost, FOLDED
    top, left = window.padding[0] * (rows > 1), window.padding[1] * (columns > 1)
    return cost, Unfolding(rows, top, down, columns, left, across)


def space_to_depth(layer: QConv) -> Unfolding:
    """How the input of a convolution is stored so that it has no stride: phases as channels."""
    window = layer.window
    down, across = window.stride
    if layer.groups > 1 or window.dilation != (1, 1) or window.stride == (1, 1):
        return FOLDED
    if window.kernel[0] < down or window.kernel[1] < across:
        return FOLDED
    top, left = window.padding[:2]
    return Unfolding(down, top, down, across, left, across)


def unfold_convolution(layer: QConv, unfolding: Unfolding) -> QConv:
    """The same convolution of an unfolded input: kernel positions of a stored one are channels."""
    u, v = unfolding.rows, unfolding.columns
    outputs, channels, rows, columns = layer.weight.shape
    down, across = -(-rows // u), -(-columns // v)
    missing = ((0, 0), (0, 0), (0, down * u - rows), (0, across * v - columns))
    split = np.pad(layer.weight, missing).reshape(outputs, channels, down, u, across, v)
    window = layer.window
    return dataclasses.replace(
        layer,
        weight=split.transpose(0, 3, 5, 1, 2, 4).reshape(outputs, -1, down, across),
        window=Window(
            kernel=(down, across),
            stride=(window.stride[0] // unfolding.down, window.stride[1] // unfolding.across),
            padding=(
                window.padding[0] - unfolding.top,
                window.padding[1] - unfolding.left,
                *window.padding[2:],
            ),
            dilation=(u // unfolding.down, window.dilation[1] * v // unfolding.across),
        ),
    )
