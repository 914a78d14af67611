import numpy as np
import pytest

from compiler import rewrite
from compiler.layout import FOLDED, Unfolding
from quant.errors import NoMulError
from quant.graph import Window
from quant.reference import run_layer
from tests.random_networks import NetworkBuilder


def network(shape=(5, 6, 6)):
    return NetworkBuilder(shape, np.random.default_rng(0))


def outputs(layer, tensors, fmt):
    return run_layer(layer, tensors, [fmt] * len(tensors))


def codes(shape, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (2, *shape)).astype(np.int32)


def test_average_pooling():
    net = network()
    net.avg_pool("input", Window((3, 2), (2, 1), (1, 0, 1, 1)))
    layer, x = net.layers[0], codes(net.shape)
    rewritten = rewrite.pool_as_convolution(layer)
    assert np.array_equal(
        outputs(rewritten, [x], net.formats["input"]), outputs(layer, [x], net.formats["input"])
    )


@pytest.mark.parametrize("seed", range(6))
def test_addition(seed):
    net = NetworkBuilder((5, 3, 3), np.random.default_rng(seed))
    net.sum("input", "input")
    layer, tensors = net.layers[0], [codes(net.shape, 1), codes(net.shape, 2)]
    rewritten = rewrite.add_as_convolution(layer)
    assert np.array_equal(
        outputs(rewritten, tensors, net.formats["input"]),
        outputs(layer, tensors, net.formats["input"]),
    )


def test_shift_to_the_left():
    net = network()
    net.requantize("input")
    layer = net.layers[0]
    object.__setattr__(layer, "left", 5)
    object.__setattr__(layer, "shift", 2)
    x = codes(net.shape)
    rewritten = rewrite.requantize_as_convolution(layer, 3)
    assert np.array_equal(
        outputs(rewritten, [x], net.formats["input"]), outputs(layer, [x], net.formats["input"])
    )
    with pytest.raises(NoMulError, match="layer layer0: a left shift of 40 is outside"):
        rewrite.requantize_as_convolution(layer, 40)


@pytest.mark.parametrize("kernel", [(3, 3), (7, 5), (2, 1)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_unfolded_convolution(kernel, stride, rows):
    net = network((3, 9, 8))
    net.conv("input", 4, Window(kernel, (stride, stride), (1, 1, 1, 0)))
    layer, x = net.layers[0], codes(net.shape)
    unfolding = Unfolding(rows, 1)
    rewritten = rewrite.unfold_convolution(layer, unfolding)
    assert rewritten.weight.shape[1:] == (3 * rows, -(-kernel[0] // rows), kernel[1])
    # Rows behind the stored ones are padding: as many as any kernel may ask for.
    stored = np.pad(unfolding.unfold(x), ((0, 0), (0, 0), (0, 12), (0, 0)))
    y = outputs(rewritten, [stored], net.formats["input"])[:, :, : layer.shape[1]]
    assert np.array_equal(y, outputs(layer, [x], net.formats["input"]))


@pytest.mark.parametrize(
    "channels, window, groups, expected",
    [
        (3, Window((3, 3), padding=(1, 1, 1, 1)), 1, Unfolding(3, 1)),
        (3, Window((7, 7), padding=(2, 3, 3, 3)), 1, Unfolding(4, 2)),
        (8, Window((3, 3)), 1, Unfolding(2, 0)),
        (9, Window((3, 3)), 1, FOLDED),
        (3, Window((1, 3)), 1, Unfolding(1, 0, 1, 3)),
        (3, Window((7, 7), (2, 2), (3, 3, 3, 3)), 1, Unfolding(7, 3, 2, 2, 3, 2)),
        (3, Window((3, 3), dilation=(2, 1)), 1, FOLDED),
        (3, Window((3, 3)), 3, FOLDED),
    ],
)
def test_what_is_unfolded(channels, window, groups, expected):
    net = network((channels, 12, 12))
    net.conv("input", 6, window, groups)
    assert rewrite.unfolding_of(net.layers[0], 16, 1) == expected


@pytest.mark.parametrize("kernel, stride", [((11, 11), (4, 4)), ((3, 3), (2, 2)), ((5, 3), (2, 1))])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 3, 0)])
def test_strides_as_phases(kernel, stride, padding):
    net = network((3, 15, 14))
    net.conv("input", 4, Window(kernel, stride, padding))
    layer, x = net.layers[0], codes(net.shape)
    unfolding = rewrite.space_to_depth(layer)
    rewritten = rewrite.unfold_convolution(layer, unfolding)
    assert rewritten.window.stride == rewritten.window.dilation == (1, 1)
    stored = np.pad(unfolding.unfold(x), ((0, 0), (0, 0), (0, 12), (0, 12)))
    y = outputs(rewritten, [stored], net.formats["input"])
    y = y[:, :, : layer.shape[1], : layer.shape[2]]
    assert np.array_equal(y, outputs(layer, [x], net.formats["input"]))


@pytest.mark.parametrize(
    "window, groups",
    [
        (Window((3, 3)), 1),
        (Window((1, 1), (2, 2)), 1),
        (Window((3, 3), (2, 2), dilation=(2, 2)), 1),
        (Window((3, 3), (2, 2)), 3),
    ],
)
def test_no_phases(window, groups):
    net = network((3, 9, 9))
    net.conv("input", 3, window, groups=groups)
    assert rewrite.space_to_depth(net.layers[0]) == FOLDED
