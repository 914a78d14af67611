"""Every quantized layer a second time, by torch in float64: what the reference is checked against.

Nothing is shared with the reference or its number primitives. All sums stay far below 2**53, so
float64 is exact, and ``torch.round`` rounds half to even.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from quant.graph import Window
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConcat,
    QConv,
    QLayer,
    QMaxPool,
    QRequantize,
    QUpsample,
)

__all__ = ["recompute"]

Tensor = torch.Tensor


def recompute(layer: QLayer, inputs: list[np.ndarray]) -> np.ndarray:
    """The codes of a layer, from the codes of its inputs.

    Parameters
    ----------
    layer : QLayer
    inputs : list of int (count, channels, height, width)

    Returns
    -------
    int64 (count, channels, height, width)
    """
    tensors = [torch.from_numpy(np.asarray(x, np.float64)) for x in inputs]
    exact = COMPUTE[type(layer)](layer, *tensors)
    codes = exact.round().clamp(layer.low, layer.high)
    if layer.format.logarithmic:
        codes = nearest_log(codes)
    return codes.to(torch.int64).numpy()


def nearest_log(codes: Tensor) -> Tensor:
    """The nearest of 0, 2**k and 3 * 2**k, ties to the larger."""
    mantissa, exponent = torch.frexp(codes)  # mantissa 0.5 .. 1
    return torch.ldexp((4 * mantissa + 0.5).floor(), exponent - 2)


def power(exponents: np.ndarray) -> Tensor:
    """``2**exponents`` for each output channel."""
    return torch.from_numpy(np.exp2(np.asarray(exponents, np.float64)))[:, None, None]


def pad(x: Tensor, window: Window, fill: float) -> Tensor:
    top, left, bottom, right = window.padding
    return F.pad(x, (left, right, top, bottom), value=fill)


def conv(layer: QConv, x: Tensor, residual: Tensor | None = None) -> Tensor:
    window = layer.window
    weight, bias = (torch.from_numpy(np.asarray(a, np.float64)) for a in (layer.weight, layer.bias))
    total = F.conv2d(
        pad(x, window, 0.0), weight, bias, window.stride, 0, window.dilation, layer.groups
    )
    if residual is not None:
        total = total + residual * power(layer.residual_shift)
    return total / power(layer.shift)


def max_pool(layer: QMaxPool, x: Tensor) -> Tensor:
    window = layer.window
    return F.max_pool2d(
        pad(x, window, -torch.inf), window.kernel, window.stride, 0, window.dilation
    )


def avg_pool(layer: QAvgPool, x: Tensor) -> Tensor:
    window, channels = layer.window, x.shape[1]
    ones = torch.ones(channels, 1, *window.kernel, dtype=x.dtype)
    total = F.conv2d(pad(x, window, 0.0), ones, None, window.stride, 0, window.dilation, channels)
    return total * layer.multiplier / 2**layer.shift


def add(layer: QAdd, a: Tensor, b: Tensor) -> Tensor:
    return (a * 2 ** layer.shifts[0] + b * 2 ** layer.shifts[1]) / 2**layer.shift


COMPUTE: dict[type[QLayer], Callable[..., Tensor]] = {
    QConv: conv,
    QMaxPool: max_pool,
    QAvgPool: avg_pool,
    QAdd: add,
    QConcat: lambda layer, *parts: torch.cat(parts, 1),
    QUpsample: lambda layer, x: x.repeat_interleave(layer.factor[0], 2).repeat_interleave(
        layer.factor[1], 3
    ),
    QRequantize: lambda layer, x: x * 2**layer.left / 2**layer.shift,
}
