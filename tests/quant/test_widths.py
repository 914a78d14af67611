"""Widths that tensors and layers need."""

import numpy as np
import pytest

from quant.graph import Window
from quant.numbers import Format
from quant.quantized import QAdd, QConv, QuantizedGraph
from quant.widths import layer_width, weight_width, width_of

SHAPE = (1, 2, 2)


@pytest.mark.parametrize(("bits", "width"), [(2, 8), (8, 8), (9, 16), (16, 16), (17, 32), (32, 32)])
def test_width_of_a_format(bits, width):
    assert width_of(Format(bits, True, 0)) == width
    assert width_of(Format(bits, False, 3)) == width


@pytest.mark.parametrize("width", [8, 16, 32])
def test_width_of_weights_at_their_borders(width):
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    assert weight_width(np.array([low, high])) == width
    if width < 32:
        assert weight_width(np.array([0, high + 1])) == 2 * width
        assert weight_width(np.array([low - 1, 0])) == 2 * width
    assert weight_width(np.array([0])) == 8


def conv(name: str, source: str, fmt: Format, weight: int) -> QConv:
    zero = np.zeros(1, np.int32)
    return QConv(
        name=name,
        inputs=(source,),
        shape=SHAPE,
        format=fmt,
        low=fmt.low,
        high=fmt.high,
        weight=np.full((1, 1, 1, 1), weight, np.int32),
        weight_fraction=zero,
        bias=np.zeros(1, np.int64),
        shift=zero,
        residual_shift=zero,
        window=Window(),
        groups=1,
        scheme="test",
    )


def test_a_layer_is_as_wide_as_its_widest_part():
    narrow, middle, wide = (Format(bits, True, 0) for bits in (8, 16, 32))
    layers = (
        conv("a", "x", narrow, 100),
        conv("b", "a", narrow, 1000),
        conv("c", "b", wide, 1),
        conv("d", "c", narrow, 1),
        QAdd("e", ("b", "d"), SHAPE, middle, -9, 9, (0, 0), 0),
    )
    graph = QuantizedGraph("net", "x", SHAPE, narrow, layers, "e", "test")
    widths = {layer.name: layer_width(graph, layer) for layer in layers}
    assert widths == {"a": 8, "b": 16, "c": 32, "d": 32, "e": 16}
