"""Weights of one term: rounded to powers of two, or taken over as they were trained."""

import numpy as np
import pytest

from quant.errors import NoMulError
from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format, count_terms, dequantize
from quant.schemes import find_scheme
from quant.weight_formats import weight_format


def conv(weight: np.ndarray) -> tuple[Conv, LayerInputs]:
    weight = weight.astype(np.float32).reshape(len(weight), -1, 1, 1)
    layer = Conv("c", ("x",), (len(weight), 3, 3), weight, np.zeros(len(weight)), Window())
    codes = np.random.default_rng(0).integers(0, 256, (30, weight.shape[1], 3, 3))
    values = (codes / 32).astype(np.float32)
    return layer, LayerInputs(codes, Format(8, False, 5), values, True)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_trained_weights_are_taken_over_exactly(bits):
    random = np.random.default_rng(bits)
    count = max(2 ** (bits - 1) - 1, 1)
    scale = random.integers(-9, 5, (6, 1))
    weight = np.ldexp(
        random.choice([-1.0, 1.0], (6, 40)), scale - random.integers(0, count, (6, 40))
    )
    if bits > 1:
        weight[random.random(weight.shape) < 0.3] = 0
    layer, inputs = conv(weight)
    codes, fraction = find_scheme(f"nbq{bits}").quantize_weights(layer, inputs)
    assert np.array_equal(dequantize(codes[:, :, 0, 0], fraction[:, None]), weight)
    assert count_terms(codes).max() == 1
    assert np.abs(codes).max() <= 1 << (count - 1)


def test_codes_of_three_and_four_bits_are_those_of_the_machines_formats():
    for bits, name in ((3, "w3"), (4, "w4")):
        assert np.array_equal(find_scheme(f"pow{bits}").levels, weight_format(name).levels)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_rounded_weights_are_of_one_term_and_can_be_taken_over(bits):
    layer, inputs = conv(np.random.default_rng(0).normal(size=(5, 30)))
    codes, fraction = find_scheme(f"pow{bits}").quantize_weights(layer, inputs)
    value = dequantize(codes[:, :, 0, 0], fraction[:, None])
    again, other = find_scheme(f"nbq{bits}").quantize_weights(*conv(value))
    assert np.array_equal(dequantize(again[:, :, 0, 0], other[:, None]), value)
    assert bits > 1 or (codes != 0).all()


def test_a_channel_without_weights():
    codes, _ = find_scheme("nbq3").quantize_weights(*conv(np.array([[0.0, 0.0], [0.5, 1.0]])))
    assert codes[:, :, 0, 0].tolist() == [[0, 0], [1, 2]]


def test_other_weights_are_refused():
    with pytest.raises(NoMulError, match=r"c has the weight 0.75, which is no power of two; train"):
        find_scheme("nbq3").quantize_weights(*conv(np.array([[0.5, 0.75]])))
    with pytest.raises(NoMulError, match="c has a channel with 4 exponents, nbq3 has 3"):
        find_scheme("nbq3").quantize_weights(*conv(np.array([[1.0, 0.125]])))
