"""Rounding against exhaustive search and against plain nearest rounding."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format
from quant.schemes import rounding
from quant.schemes.levels import nearest
from quant.schemes.rounding import round_weights

NEAREST = partial(nearest, np.array([0, 1, 2, 4]))


def layer(outputs: int = 6, channels: int = 4, groups: int = 1, kernel: int = 1, seed: int = 0):
    """A convolution with strongly correlated inputs."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((outputs, channels // groups, kernel, kernel))
    window = Window((kernel, kernel))
    shape = (outputs, *window.output_size(6, 6))
    bias = np.zeros(outputs, np.float32)
    conv = Conv("c", ("x",), shape, weight.astype(np.float32), bias, window, groups)
    x = rng.standard_normal((60, channels, 6, 6)) + 2 * rng.standard_normal((60, 1, 6, 6))
    values = np.maximum(x, 0).astype(np.float32)
    fmt = Format(8, False, 5)
    codes = np.clip(np.rint(values * 32), 0, 255).astype(np.int32)
    return conv, LayerInputs(codes, fmt, values, centered=False)


def output_error(conv, inputs, codes, fraction) -> np.ndarray:
    """Mean squared error of each output channel, less what no code changes."""
    qq, xq = inputs.moments(conv, slice(0, conv.weight[0].size))
    w = conv.weight.reshape(conv.groups, -1, qq.shape[1]).astype(np.float64)
    v = np.ldexp(codes.astype(np.float64), -fraction[:, None, None, None]).reshape(w.shape)
    return (v @ qq * v - 2 * (w @ xq * v)).sum(axis=2).ravel()


def nearest_codes(conv, fraction) -> np.ndarray:
    return NEAREST(np.ldexp(conv.weight.astype(float), fraction[:, None, None, None]))


def test_near_the_best_of_all_codes():
    conv, inputs = layer()
    codes, fraction = round_weights(conv, inputs, 4, NEAREST)
    found = output_error(conv, inputs, codes, fraction)
    plain = output_error(conv, inputs, nearest_codes(conv, fraction), fraction)
    (qq,), (xq,) = inputs.moments(conv, slice(0, 4))
    everything = np.array(list(product([-4, -2, -1, 0, 1, 2, 4], repeat=4)))
    for channel, w in enumerate(conv.weight.reshape(-1, 4)):
        v = np.ldexp(everything.astype(float), -fraction[channel])
        best = (v @ qq * v - 2 * (w @ xq * v)).sum(axis=1).min()
        assert best <= found[channel] + 1e-9
        assert found[channel] - best <= 0.25 * (plain[channel] - best) + 0.02


@pytest.mark.parametrize(("groups", "kernel"), [(1, 3), (2, 3), (8, 3), (1, 1)])
def test_better_than_nearest_rounding(groups, kernel):
    conv, inputs = layer(16, 8, groups, kernel)
    codes, fraction = round_weights(conv, inputs, 4, NEAREST)
    assert codes.shape == conv.weight.shape
    assert np.isin(np.abs(codes), [0, 1, 2, 4]).all()
    found = output_error(conv, inputs, codes, fraction)
    plain = output_error(conv, inputs, nearest_codes(conv, fraction), fraction)
    assert found.sum() < plain.sum()
    # The ridge may give up a little of the output's error for the weights' own.
    assert (found <= plain + 0.01 * np.abs(plain)).all()


def test_large_layers_are_rounded_in_parts(monkeypatch):
    conv, inputs = layer(8, 8, 1, 3)
    monkeypatch.setattr(rounding, "PART", 30)
    codes, fraction = round_weights(conv, inputs, 4, NEAREST)
    assert np.isin(np.abs(codes), [0, 1, 2, 4]).all()
    assert (codes != nearest_codes(conv, fraction)).any()


def test_inputs_that_are_always_zero():
    conv, inputs = layer(kernel=3)
    zeros = LayerInputs(0 * inputs.codes, inputs.format, 0 * inputs.values, centered=True)
    codes, fraction = round_weights(conv, zeros, 4, NEAREST)
    assert np.array_equal(codes, nearest_codes(conv, fraction))
