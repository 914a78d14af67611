"""Shifts and fractions at their limits."""

import numpy as np
import pytest

from quant.fusion import Step
from quant.graph import Add, Conv, Window
from quant.lower import lower_conv, reciprocal
from quant.numbers import Format
from quant.reference import largest_sum
from quant.widths import SUMS

SHAPE = (2, 4, 4)
INPUT = Format(8, False, 4)


def lower(codes, fraction, wish, bias=(0.0, 0.0), residual: Format | None = None):
    codes = np.array(codes, np.int32).reshape(2, 1, 1, 1)
    weight = np.zeros(codes.shape, np.float32)
    conv = Conv("c", ("x",), SHAPE, weight, np.float32(bias), Window())
    add = Add("a", ("c", "r"), SHAPE) if residual else None
    formats = [INPUT] + [residual] * (residual is not None)
    step = Step(conv, add, ())
    return lower_conv(step, formats, wish, codes, np.array(fraction), "test", SUMS[8]), formats


def test_ordinary_channels():
    layer, _ = lower([100, 100], [6, 8], Format(8, True, 3), bias=(0.5, -1.0))
    assert layer.shift.tolist() == [7, 9]
    assert layer.bias.tolist() == [512, -4096]
    assert layer.weight.ravel().tolist() == [100, 100]


def test_a_coarse_channel_is_raised_within_the_codes_of_the_layer():
    layer, _ = lower([1, 64], [-3, 4], Format(8, True, 6))
    assert layer.weight.ravel().tolist() == [32, 64]
    assert layer.weight_fraction.tolist() == [2, 4]
    assert layer.format.fraction == 6
    assert layer.shift.tolist() == [0, 2]


def test_the_output_becomes_coarser_where_no_room_is_left():
    layer, _ = lower([1, 1], [-3, 4], Format(8, True, 6))
    assert layer.weight.ravel().tolist() == [1, 1]
    assert layer.format.fraction == 1
    assert layer.shift.tolist() == [0, 7]


def test_a_channel_without_weights_does_not_matter():
    layer, _ = lower([0, 64], [-30, 4], Format(8, True, 6), bias=(1.0, 0.0))
    assert layer.format.fraction == 6
    assert layer.bias[0] == 1 << int(layer.shift[0]) + 6


def test_sums_are_kept_within_32_bits():
    layer, formats = lower([64, 64], [40, 6], Format(8, True, 4), bias=(3.0, 0.0))
    assert largest_sum(layer, formats) < 2**31
    assert layer.shift.max() <= 31
    assert layer.bias[0] == 3 << INPUT.fraction + int(layer.weight_fraction[0])


def test_a_residual_that_does_not_fit():
    layer, _ = lower([1, 1], [0, 0], Format(8, True, 0), residual=Format(8, False, 4))
    assert layer.residual_shift.tolist() == [0, 0]
    layer, _ = lower([1, 1], [0, 0], Format(8, True, 0), residual=Format(8, False, 5))
    assert layer is None


@pytest.mark.parametrize("positions", range(1, 257))
def test_reciprocals(positions):
    multiplier, shift = reciprocal(positions)
    assert 1 <= multiplier < 256
    assert abs(multiplier * positions / 2**shift - 1) <= 2**-8
    if positions & (positions - 1) == 0:
        assert (multiplier, 1 << shift) == (1, positions)
