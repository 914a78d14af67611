"""Widths of a datapath that splits: what each tensor of a network needs, and each layer."""

from dataclasses import dataclass

import numpy as np

from quant.numbers import Format
from quant.quantized import QConv, QLayer, QuantizedGraph

__all__ = ["SUMS", "WIDTHS", "Sums", "layer_width", "weight_width", "width_of"]

WIDTHS = (8, 16, 32)


@dataclass(frozen=True)
class Sums:
    """What a quantizer keeps the sums of a layer within.

    Parameters
    ----------
    bits : int
        Two's complement bits that hold every partial sum.
    shift : int
        Largest right shift of a requantization.
    """

    bits: int
    shift: int


SUMS = {8: Sums(32, 31), 16: Sums(48, 31), 32: Sums(63, 62)}
"""By the layer's width; at 32 bits sums are below 2**62, and int64 computes them exactly."""


def width_of(fmt: Format) -> int:
    """The narrowest width that holds a tensor's codes.

    >>> width_of(Format(4, False, 0)), width_of(Format(9, True, 0)), width_of(Format(32, True, 0))
    (8, 16, 32)
    """
    return next(width for width in WIDTHS if fmt.bits <= width)


def weight_width(weight: np.ndarray) -> int:
    """The narrowest width whose signed codes hold all weights of a layer.

    >>> weight_width(np.array([127, -128])), weight_width(np.array([128]))
    (8, 16)
    """
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    bits = 1 + max(high.bit_length(), (-low - 1).bit_length() if low else 0)
    return next(width for width in WIDTHS if bits <= width)


def layer_width(qgraph: QuantizedGraph, layer: QLayer) -> int:
    """The width at which a layer runs: the largest of its inputs', its weights' and its output's.

    Narrower codes are extended as they are read.
    """
    widths = [width_of(qgraph.format_of(name)) for name in (*layer.inputs, layer.name)]
    if isinstance(layer, QConv):
        widths.append(weight_width(layer.weight))
    return max(widths)
