"""Convolutions with their tensors in place, for tests of mappings."""

import numpy as np

from compiler.layout import Layout
from compiler.mapping import Convolution
from compiler.tensor import PlacedTensor
from quant.graph import Window
from quant.numbers import Format

__all__ = ["convolution"]


def convolution(
    weight: np.ndarray,
    window: Window | None = None,
    groups: int = 1,
    size: tuple[int, int] = (5, 5),
    lanes: int = 8,
    layouts: tuple[Layout | None, Layout | None] = (None, None),
    pitch: int | None = None,
    signed: bool = True,
) -> Convolution:
    """A convolution of a tensor x at address 0 to y at 1024; ``pitch`` is that of x."""
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    window = window or Window(weight.shape[2:])
    source_layout, target_layout = (
        layout or Layout.default(count, lanes) for layout, count in zip(layouts, (inputs, outputs))
    )
    fmt = Format(8, signed, 0)
    blocks = source_layout.blocks
    source = PlacedTensor("x", (inputs, *size), fmt, 0, source_layout, pitch or blocks)
    shape = (outputs, *window.output_size(*size))
    target = PlacedTensor("y", shape, fmt, 1024, target_layout, target_layout.blocks)
    return Convolution("layer", weight, window, groups, source, target)
