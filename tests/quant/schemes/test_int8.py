"""Codes of 8-bit weights."""

import numpy as np

from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format
from quant.schemes import find_scheme


def test_codes_are_symmetric_and_close():
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((8, 4, 3, 3)) * 2.0 ** np.arange(8)[:, None, None, None]).astype(
        np.float32
    )
    conv = Conv("c", ("x",), (8, 6, 6), weight, np.zeros(8, np.float32), Window((3, 3)))
    codes = rng.integers(0, 256, (20, 4, 8, 8))
    inputs = LayerInputs(codes, Format(8, False, 5), (codes / 32).astype(np.float32), True)
    quantized, fraction = find_scheme("int8").quantize_weights(conv, inputs)
    assert quantized.dtype == fraction.dtype == np.int32
    assert np.abs(quantized).max() <= 127
    assert quantized.shape == weight.shape
    error = np.ldexp(quantized.astype(float), -fraction[:, None, None, None]) - weight
    assert ((error**2).sum(axis=(1, 2, 3)) < 1e-3 * (weight**2).sum(axis=(1, 2, 3))).all()
