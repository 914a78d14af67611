import numpy as np
import pytest

from compiler.widths import check_shift, check_sum, convolution_limits, residual_shifts
from quant.errors import NoMulError
from tests.random_networks import NetworkBuilder, Window


def test_limits_are_reached():
    net = NetworkBuilder((3, 4, 4), np.random.default_rng(1))
    window = Window((3, 3), padding=(1, 1, 1, 1))
    net.conv("input", 3, window, residual="input")
    layer = net.layers[0]
    low, high = convolution_limits(layer, (-128, 127))
    flat = layer.weight.reshape(3, -1).astype(int)
    assert high == max(np.where(flat > 0, 127 * flat, -128 * flat).sum(axis=1) + layer.bias)
    assert low == min(np.where(flat > 0, -128 * flat, 127 * flat).sum(axis=1) + layer.bias)


def test_padding_reads_zero():
    net = NetworkBuilder((1, 2, 2), np.random.default_rng(1))
    net.conv("input", 1)
    layer = net.layers[0]
    layer.weight[:] = 3
    bias = int(layer.bias[0])
    assert convolution_limits(layer, (5, 9)) == (bias, bias + 27)


@pytest.mark.parametrize("limits, bits", [((-(1 << 15), 5), 16), ((0, (1 << 15) - 1), 16)])
def test_edges_fit(limits, bits):
    check_sum("x", limits, bits)


@pytest.mark.parametrize("limits", [(-(1 << 15) - 1, 0), (0, 1 << 15)])
def test_beyond_is_refused(limits):
    with pytest.raises(NoMulError, match=r"layer x: sums reach.*takes 17 bits.*have 16"):
        check_sum("x", limits, 16)


@pytest.mark.parametrize("shift", [-1, 32])
def test_shifts_beyond_the_field(shift):
    with pytest.raises(NoMulError, match=f"layer x: a shift of {shift} is outside 0 .. 31"):
        check_shift("x", "shift", shift)


@pytest.mark.parametrize("by", range(-3, 4))
def test_residual_shifts(by):
    shift = np.array([7, 4])
    left, right = residual_shifts("x", shift, shift - by)
    # (t + (r << rs)) / 2**s is (t / 2**(s - right) + (r << left)) / 2**right.
    assert min(left, right) == 0
    assert right - left == by


@pytest.mark.parametrize("by", [-4, 4])
def test_residuals_too_far_away(by):
    with pytest.raises(
        NoMulError, match=r"layer x: the residual's fraction .* differ by 4, .*at m"
    ):
        residual_shifts("x", np.array([6]), np.array([6 - by]))


def test_residuals_that_differ_between_channels():
    with pytest.raises(NoMulError, match=r"layer x: .* is 1 in one channel and 2 in another"):
        residual_shifts("x", np.array([5, 5]), np.array([3, 4]))
