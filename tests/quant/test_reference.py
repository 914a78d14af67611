"""The reference against its formulas in plain int64, on layers that no library computes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format, requantize
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConv,
    QMaxPool,
    QRequantize,
    QuantizedGraph,
    QUpsample,
)
from quant.reference import (
    accumulate,
    largest_sum,
    predict,
    quantize_input,
    run_layer,
    run_reference,
)
from quant.stochastic import stochastic_noise

BYTE = Format(8, False, 0)


def conv_of(weight: np.ndarray, groups: int = 1, window: Window | None = None, **changes) -> QConv:
    outputs = len(weight)
    values = {
        "name": "conv",
        "inputs": ("x",),
        "shape": (outputs, 4, 5),
        "format": Format(8, True, 0),
        "low": -128,
        "high": 127,
        "weight": weight.astype(np.int32),
        "weight_fraction": np.zeros(outputs, np.int32),
        "bias": np.zeros(outputs, np.int64),
        "shift": np.zeros(outputs, np.int32),
        "residual_shift": np.zeros(outputs, np.int32),
        "window": window or Window((3, 3), padding=(1, 1, 1, 1)),
        "groups": groups,
        "scheme": "test",
    }
    return QConv(**(values | changes))


def plain_sums(layer: QConv, x: np.ndarray) -> np.ndarray:
    """The docstring's sum, position by position, in int64."""
    window, (outputs, height, width) = layer.window, layer.shape
    top, left, bottom, right = window.padding
    x = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    sums = np.empty((len(x), outputs, height, width), np.int64)
    per_group, outputs_per_group = layer.weight.shape[1], outputs // layer.groups
    for o in range(outputs):
        first = o // outputs_per_group * per_group
        for r in range(height):
            for c in range(width):
                rows = [r * window.stride[0] + i * window.dilation[0] for i in range(3)]
                columns = [c * window.stride[1] + j * window.dilation[1] for j in range(3)]
                seen = x[:, first : first + per_group][:, :, rows][:, :, :, columns]
                sums[:, o, r, c] = (seen * layer.weight[o].astype(np.int64)).sum(axis=(1, 2, 3))
    return sums + layer.bias[:, None, None]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    bits=st.sampled_from([4, 8, 16, 24, 28]),
    groups=st.sampled_from([1, 2, 4]),
    per_group=st.integers(1, 3),
    residual=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_convolution_of_any_width(bits, groups, per_group, residual, seed):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(1 << bits), 1 << bits, (groups * 2, per_group, 3, 3), endpoint=True)
    fmt = Format(bits, True, 0)
    layer = conv_of(
        weight,
        groups,
        bias=rng.integers(-(1 << 2 * bits), 1 << 2 * bits, len(weight)),
        shift=rng.integers(0, 2 * bits, len(weight)).astype(np.int32),
        residual_shift=rng.integers(0, bits, len(weight)).astype(np.int32),
    )
    x, r = (
        rng.integers(fmt.low, fmt.high, (2, channels, 4, 5), endpoint=True).astype(np.int32)
        for channels in (groups * per_group, len(weight))
    )
    sums = plain_sums(layer, x)
    inputs, formats = [x], [fmt]
    if residual:
        sums += r.astype(np.int64) << layer.residual_shift[:, None, None]
        inputs, formats = [x, r], [fmt, fmt]
    assert np.abs(sums).max() <= largest_sum(layer, formats)
    expected = requantize(sums, layer.shift[:, None, None], -128, 127)
    assert np.array_equal(run_layer(layer, inputs, formats), expected)


@pytest.mark.parametrize(
    ("peak", "kind"), [(1 << 15, np.float32), (1 << 17, np.float64), (1 << 30, np.float64)]
)
def test_accumulator_type_follows_the_bound(peak, kind):
    layer = conv_of(np.full((1, 1, 1, 1), peak), window=Window(), bias=np.array([peak]))
    sums = accumulate(layer, [np.full((1, 1, 4, 5), 255)], [BYTE])
    assert sums.dtype == kind
    assert (sums == peak * 256).all()


def test_the_exact_limit_is_used():
    layer = conv_of(np.full((1, 1, 1, 1), 1), window=Window(), bias=np.array([2**24 - 255]))
    x = np.full((1, 1, 4, 5), 255)
    assert accumulate(layer, [x], [BYTE]).dtype == np.float32
    layer = replace(layer, bias=layer.bias + 1)
    assert accumulate(layer, [x], [BYTE]).dtype == np.float64
    layer = replace(layer, bias=np.array([2**53]))
    sums = accumulate(layer, [x], [BYTE])
    assert sums.dtype == np.int64
    assert (sums == 2**53 + 255).all()


def test_sums_beyond_64_bits_are_refused():
    layer = conv_of(np.full((1, 1, 1, 1), 1), window=Window(), bias=np.array([2**63 - 1]))
    with pytest.raises(NoMulError, match="sums of layer conv need 65 bits"):
        run_layer(layer, [np.zeros((1, 1, 4, 5), np.int32)], [BYTE])


def test_requantize_left_and_right():
    x = np.array([[[[1, 2, 3, 200]]]])
    layer = QRequantize("y", ("x",), (1, 1, 4), BYTE, 0, 255, left=1, shift=0)
    assert run_layer(layer, [x], [BYTE]).ravel().tolist() == [2, 4, 6, 255]
    layer = replace(layer, left=0, shift=1, high=20)
    assert run_layer(layer, [x], [BYTE]).ravel().tolist() == [0, 1, 2, 20]


def test_upsample_repeats_and_clips():
    x = np.arange(4).reshape(1, 1, 2, 2)
    layer = QUpsample("y", ("x",), (1, 4, 2), BYTE, 0, 2, factor=(2, 1))
    expected = [[0, 1], [0, 1], [2, 2], [2, 2]]
    assert run_layer(layer, [x], [BYTE])[0, 0].tolist() == expected


def test_codes_of_32_bits_unsigned():
    fmt = Format(32, False, 0)
    x = np.array([[[[0, 2**32 - 1]]]])
    layer = QMaxPool("y", ("x",), (1, 1, 1), fmt, fmt.low, fmt.high, Window((1, 2)))
    assert run_layer(layer, [x], [fmt]).ravel().tolist() == [2**32 - 1]


def add_graph() -> QuantizedGraph:
    fmt = Format(8, True, 1)
    add = QAdd("sum", ("x", "x"), (1, 2, 2), fmt, -128, 127, (0, 0), 1)
    clip = QRequantize("y", ("sum",), (1, 2, 2), fmt, 0, 127, 0, 0)
    return QuantizedGraph("twice", "x", (1, 2, 2), Format(8, True, 2), (add, clip), "y", "int8")


def test_network():
    images = np.array([[[[1.0, -2.0], [0.3, 100.0]]]], np.float32)
    codes = quantize_input(add_graph(), images)
    assert codes.tolist() == [[[[4, -8], [1, 127]]]]
    tensors = run_reference(add_graph(), codes)
    assert list(tensors) == ["x", "sum", "y"]
    assert tensors["y"].tolist() == [[[[4, 0], [1, 127]]]]
    assert list(run_reference(add_graph(), codes, keep=["sum"])) == ["sum"]
    calls = []
    outputs = predict(
        add_graph(), images.repeat(5, axis=0), batch=2, progress=lambda *call: calls.append(call)
    )
    assert outputs.tolist() == [[2.0, 0.0, 0.5, 63.5]] * 5
    assert calls == [(2, 5, "reference"), (4, 5, "reference"), (5, 5, "reference")]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([1.0], "images for twice are a list; give a numpy array"),
        (np.zeros((1, 1, 2, 2)), "images for twice are float64; give float32"),
        (np.zeros((1, 2, 2), np.float32), r"have the shape \(1, 2, 2\); give \(images, 1, 2, 2\)"),
        (np.full((2, 1, 2, 2), np.nan, np.float32), "image 0 for twice holds NaN or infinity"),
    ],
)
def test_wrong_images_are_refused(images, message):
    with pytest.raises(NoMulError, match=message):
        quantize_input(add_graph(), images)
    with pytest.raises(NoMulError, match=message):
        predict(add_graph(), images)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((1, 1, 2, 2), np.float32), "input codes of twice are float32"),
        (np.zeros((1, 1, 2, 3), np.int32), r"give integers of the shape \(images, 1, 2, 2\)"),
        (np.full((1, 1, 2, 2), 128), r"lie outside -128 .. 127; make them with quantize_input"),
    ],
)
def test_wrong_codes_are_refused(codes, message):
    with pytest.raises(NoMulError, match=message):
        run_reference(add_graph(), codes)


@pytest.mark.parametrize("signed", [True, False])
def test_full_words_are_exact(signed):
    """Weights and activations at the ends of 32 and 31 bits, sums near 2**63."""
    rng = np.random.default_rng(int(signed))
    fmt = Format(32, True, 0) if signed else Format(31, False, 0)
    x = rng.integers(fmt.low, fmt.high, (2, 1, 4, 5), endpoint=True)
    x[0, 0, 0] = [fmt.low, fmt.low, fmt.high, fmt.high, fmt.low]
    weight = np.zeros((3, 1, 3, 3), np.int64)
    weight[0, 0, 1, 1] = -(1 << 31)
    weight[1, 0, :, 1] = (1 << 31) - 1, -5, 1 << 29
    weight[2] = rng.integers(-(1 << 28), 1 << 28, (1, 3, 3))
    layer = conv_of(weight, bias=np.array([1, -1, 1 << 50]))
    assert largest_sum(layer, [fmt]) > 1 << 61
    codes = x.astype(np.int32 if signed else np.int64)
    sums = accumulate(layer, [codes], [fmt])
    assert sums.dtype == np.int64
    assert np.array_equal(sums, plain_sums(layer, x))


def test_a_wide_residual_shift():
    fmt = Format(16, True, 0)
    layer = conv_of(
        np.full((1, 1, 3, 3), 1 << 30),
        inputs=("x", "r"),
        residual_shift=np.array([40], np.int32),
        shape=(1, 4, 5),
    )
    x, r = (np.random.default_rng(k).integers(-999, 999, (2, 1, 4, 5)) for k in range(2))
    assert np.array_equal(accumulate(layer, [x, r], [fmt, fmt]), plain_sums(layer, x) + (r << 40))


@pytest.mark.parametrize("kind", ["conv", "residual", "wide", "average", "add", "requantize"])
def test_stochastic_rounding_of_every_layer(kind):
    rng, seed, shape = np.random.default_rng(3), 0xC0FFEE, (2, 4, 5)
    x = rng.integers(0, 256, (3, *shape))
    fmt, low, high = Format(8, True, 0), -100, 99
    common = {"rounding": "stochastic", "seed": seed}
    shift = np.array([7, 3], np.int32)
    if kind in ("conv", "residual", "wide"):
        weight = rng.integers(-9, 9, (2, 2, 3, 3)) << (20 if kind == "wide" else 0)
        left = np.array([5, 1], np.int32)
        inputs = ("x", "x") if kind == "residual" else ("x",)
        layer = conv_of(weight, inputs=inputs, residual_shift=left, low=low, high=high, **common)
        layer = replace(layer, shift=shift + np.int32(20 if kind == "wide" else 0))
        total = plain_sums(layer, x)
        if kind == "residual":
            total = total + (x << left[:, None, None])
        shift = layer.shift.astype(np.int64)
    elif kind == "average":
        window = Window((1, 1))
        layer = QAvgPool("y", ("x",), shape, fmt, low, high, window, 167, 13, **common)
        total, shift = x * 167, np.array([13, 13])
    elif kind == "add":
        layer = QAdd("y", ("x", "x"), shape, fmt, low, high, (1, 0), 3, **common)
        total, shift = 3 * x, np.array([3, 3])
    else:
        layer = QRequantize("y", ("x",), shape, fmt, low, high, left=1, shift=4, **common)
        total, shift = 2 * x, np.array([4, 4])
    found = run_layer(layer, [x] * len(layer.inputs), [BYTE] * len(layer.inputs))
    noise = stochastic_noise(seed, 2, 20).reshape(shape) >> (32 - shift[:, None, None])
    expected = (total + noise >> shift[:, None, None]).clip(low, high)
    assert np.array_equal(found, expected)
    assert not np.array_equal(
        found,
        run_layer(
            replace(layer, rounding="even", seed=0),
            [x] * len(layer.inputs),
            [BYTE] * len(layer.inputs),
        ),
    )
