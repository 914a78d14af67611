"""Codes of 16- and 32-bit weights."""

import numpy as np
import pytest

from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format
from quant.schemes import Activations, find_scheme

ZEROS = np.zeros((1, 1, 1, 1))
INPUTS = LayerInputs(ZEROS.astype(np.int32), Format(8, True, 0), ZEROS.astype(np.float32), True)


def quantize(weight: np.ndarray, scheme: str) -> tuple[np.ndarray, np.ndarray]:
    conv = Conv("c", ("x",), (len(weight), 1, 1), weight, np.zeros(len(weight)), Window())
    return find_scheme(scheme).quantize_weights(conv, INPUTS)


@pytest.mark.parametrize("bits", [16, 32])
def test_codes_are_the_nearest_at_the_finest_scale(bits):
    rng = np.random.default_rng(bits)
    scale = 2.0 ** rng.integers(-20, 20, 50)[:, None, None, None]
    weight = (rng.standard_normal((50, 3, 3, 3)) * scale).astype(np.float32)
    codes, fraction = quantize(weight, f"int{bits}")
    assert codes.dtype == fraction.dtype == np.int32
    largest = (1 << (bits - 1)) - 1
    peak = np.abs(codes.astype(np.int64)).reshape(50, -1).max(axis=1)
    assert peak.max() <= largest
    # One step finer, the largest would saturate.
    exact = np.abs(weight.astype(np.float64)).reshape(50, -1).max(axis=1)
    assert (np.rint(np.ldexp(exact, fraction + 1)) > largest).all()
    wish = np.ldexp(weight.astype(np.float64), fraction[:, None, None, None])
    assert np.abs(codes - wish).max() <= 0.5


def test_a_peak_that_would_round_past_the_largest_code():
    weight = np.array([1 - 2.0**-20, 1.0, 0.0], np.float32).reshape(3, 1, 1, 1)
    codes, fraction = quantize(weight, "int16")
    assert codes.ravel().tolist() == [16384, 16384, 0]
    assert fraction.tolist() == [14, 14, 0]
    # float32 holds no number between the largest code of 32 bits and 1.
    assert quantize(weight, "int32")[0].ravel().tolist()[0] == (1 << 31) - (1 << 11)


@pytest.mark.parametrize("bits", [16, 32])
def test_activations_are_as_wide_as_the_weights(bits):
    scheme = find_scheme(f"int{bits}")
    assert scheme.width == bits
    assert scheme.activations == Activations(bits)
    assert scheme.activations.format(True, 3) == Format(bits, True, 3)
    # Codes of 32 bits stay below 2**31.
    assert scheme.activations.format(False, 3) == Format(min(bits, 31), False, 3)
    assert find_scheme(f"int{bits}a6").activations == Activations(6)
    assert find_scheme("int8").width == 8
