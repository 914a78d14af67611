"""Every quantized layer a second time, by torch: what the reference is checked against.

Nothing is shared with the reference or its number primitives. Products are summed in float64, which
is exact below 2**53; wider inputs are cut in two halves of 16 bits, and int64 adds what these make.
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
    tensors = [torch.from_numpy(np.asarray(x, np.int64)) for x in inputs]
    exact = COMPUTE[type(layer)](layer, *tensors)
    if layer.rounds:
        exact = divide(
            layer, exact, torch.from_numpy(np.atleast_1d(vars(layer)["shift"]).astype(np.int64))
        )
    codes = exact.clamp(layer.low, layer.high)
    if layer.format.logarithmic:
        codes = nearest_log(codes)
    return codes.to(torch.int64).numpy()


def divide(layer: QLayer, total: Tensor, shift: Tensor) -> Tensor:
    """``total / 2**shift`` as the layer rounds, with one shift or one a channel."""
    shift = shift[:, None, None]
    if layer.rounding == "stochastic":
        return total + noise(layer, shift) >> shift
    down, rest = total >> shift, total & (1 << shift) - 1
    # Twice the rest against the divisor: above it up, equal to it up from an odd one.
    return down + (2 * rest + (down & 1) > 1 << shift).long()


def noise(layer: QLayer, shift: Tensor) -> Tensor:
    """``shift`` bits of noise an output, bit by bit from a register of 32 cells."""
    channels, height, width = layer.shape
    cells = [layer.seed >> bit & 1 for bit in range(32)]
    states = []
    for _ in range(height * width):
        states.append(sum(cell << bit for bit, cell in enumerate(cells)))
        for _ in range(8):
            out = cells[0]
            cells = [*cells[1:], out]
            for tap in (22, 2, 1):
                cells[tap - 1] ^= out
    keys = torch.arange(channels) * 2654435769 % 2**32
    mixed = torch.tensor(states).reshape(height, width) ^ keys[:, None, None]
    return torch.where(shift > 32, mixed << (shift - 32).clamp(0), mixed >> (32 - shift).clamp(0))


def nearest_log(codes: Tensor) -> Tensor:
    """The nearest of 0, 2**k and 3 * 2**k, ties to the larger."""
    mantissa, exponent = torch.frexp(codes.double())  # mantissa 0.5 .. 1
    return torch.ldexp((4 * mantissa + 0.5).floor(), exponent - 2)


def pad(x: Tensor, window: Window, fill: float) -> Tensor:
    top, left, bottom, right = window.padding
    return F.pad(x, (left, right, top, bottom), value=fill)


def conv(layer: QConv, x: Tensor, residual: Tensor | None = None) -> Tensor:
    weight, bias = (torch.from_numpy(np.asarray(a, np.int64)) for a in (layer.weight, layer.bias))
    total = bias[:, None, None] + products(layer.window, x, weight, layer.groups)
    if residual is not None:
        left = torch.from_numpy(layer.residual_shift.astype(np.int64))
        total = total + (residual << left[:, None, None])
    return total


def products(window: Window, x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Sums of products, int64."""

    def part(inputs: Tensor, weights: Tensor) -> Tensor:
        padded = pad(inputs.double(), window, 0.0)
        sums = F.conv2d(padded, weights.double(), None, window.stride, 0, window.dilation, groups)
        return sums.long()

    if float(weight.abs().flatten(1).sum(1).max()) * float(x.abs().max()) < 2**53:
        return part(x, weight)
    halves = [[(t & 0xFFFF, 0), (t >> 16, 16)] for t in (x, weight)]
    parts = [part(a, b) << s + t for a, s in halves[0] for b, t in halves[1]]
    return torch.stack(parts).sum(0)


def max_pool(layer: QMaxPool, x: Tensor) -> Tensor:
    window = layer.window
    padded = pad(x.double(), window, -torch.inf)
    return F.max_pool2d(padded, window.kernel, window.stride, 0, window.dilation).long()


def avg_pool(layer: QAvgPool, x: Tensor) -> Tensor:
    ones = torch.ones(x.shape[1], 1, *layer.window.kernel, dtype=torch.int64)
    return products(layer.window, x, ones, x.shape[1]) * layer.multiplier


def add(layer: QAdd, a: Tensor, b: Tensor) -> Tensor:
    return (a << layer.shifts[0]) + (b << layer.shifts[1])


COMPUTE: dict[type[QLayer], Callable[..., Tensor]] = {
    QConv: conv,
    QMaxPool: max_pool,
    QAvgPool: avg_pool,
    QAdd: add,
    QConcat: lambda layer, *parts: torch.cat(parts, 1),
    QUpsample: lambda layer, x: x.repeat_interleave(layer.factor[0], 2).repeat_interleave(
        layer.factor[1], 3
    ),
    QRequantize: lambda layer, x: x << layer.left,
}
