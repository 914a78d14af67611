"""The corrected layer's sums have the wished means."""

import numpy as np
import pytest

from quant.bias_correction import correct_bias
from quant.graph import Window
from quant.numbers import Format
from quant.quantized import QConv
from quant.reference import accumulate


@pytest.mark.parametrize("residual", [False, True])
def test_means(residual):
    rng = np.random.default_rng(0)
    fraction = np.array([3, 7, 5], np.int32)
    layer = QConv(
        "c",
        ("x", "r")[: 1 + residual],
        (3, 5, 5),
        Format(8, True, 0),
        -128,
        127,
        weight=rng.integers(-64, 64, (3, 2, 1, 1)).astype(np.int32),
        weight_fraction=fraction,
        bias=np.array([0, 100, -5]),
        shift=fraction + 2,
        residual_shift=fraction,
        window=Window(),
        groups=1,
        scheme="test",
    )
    formats = [Format(8, False, 2), Format(8, True, 2)][: 1 + residual]
    shapes = [(100, 2, 5, 5), (100, 3, 5, 5)][: 1 + residual]
    inputs = [
        rng.integers(fmt.low, fmt.high, shape) for fmt, shape in zip(formats, shapes, strict=True)
    ]
    target = np.array([1.0, -2.5, 30.0])
    corrected = correct_bias(layer, inputs, formats, target)
    means = accumulate(corrected, inputs, formats).mean(axis=(0, 2, 3), dtype=np.float64)
    assert np.abs(means - np.ldexp(target, 2 + fraction)).max() <= 0.5
