"""Networks on machines with convolvers, in the program simulator."""

import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from quant.errors import NoMulError
from quant.graph import Window
from tests.machines import convolver
from tests.random_networks import NetworkBuilder, random_codes, random_network
from tests.sim.test_program import assert_equal_at_every_layer

MACHINES = [
    convolver(),
    convolver("vpe", 4, 3, 4),
    convolver(lanes=4, vector_words=1, groups=1, kernel=5, weights="n4", accumulator_words=16),
    convolver(lanes=16, vector_words=2, groups=4, weights="n2", queue_words=32),
    convolver(vector_words=4, kernel=7, weights="n5", activation_bits=16),
    convolver("vpe", 8, 1, 1, activation_bits=10),
]
SAME = Window((3, 3), padding=(1, 1, 1, 1))


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("seed", range(15))
def test_random_networks(seed, index):
    graph = random_network(100 * index + seed, weight_bits=(8, 4)[seed % 2])
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


def one_layer(shape, outputs, window, groups=1, weight_bits=3, seed=0):
    net = NetworkBuilder(shape, np.random.default_rng(seed), weight_bits=weight_bits)
    # A layer before, so that the image is not stored in another way.
    net.conv(net.max_pool("input", Window()), outputs, window, groups=groups)
    return net.graph()


@pytest.mark.parametrize("kind", ["svpe", "vpe"])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 11])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [3, 5])
def test_kernels_and_strides(kind, kernel, stride, size):
    before = kernel // 2
    window = Window((kernel, kernel), (stride, stride), (before, before, before, before))
    graph = one_layer((12, 14, 13), 20, window)
    codes = random_codes(graph, 1, np.random.default_rng(kernel))
    assert_equal_at_every_layer(graph, convolver(kind, kernel=size, vector_words=2), codes)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (2, 0, 0, 1), (0, 3, 2, 0)])
@pytest.mark.parametrize("kernel", [(3, 1), (1, 3), (2, 4), (5, 3)])
def test_uneven_kernels_and_padding(kernel, padding):
    graph = one_layer((9, 7, 8), 12, Window(kernel, (1, 2), padding))
    codes = random_codes(graph, 2, np.random.default_rng(0))
    assert_equal_at_every_layer(graph, convolver(), codes)


@pytest.mark.parametrize("kind", ["svpe", "vpe"])
def test_images_with_strides_are_stored_by_phases(kind):
    net = NetworkBuilder((3, 23, 22), np.random.default_rng(1), weight_bits=3)
    net.conv("input", 20, Window((11, 11), (4, 4), (2, 2, 2, 2)))
    graph = net.graph()
    codes = random_codes(graph, 2, np.random.default_rng(0))
    program = assert_equal_at_every_layer(graph, convolver(kind), codes)
    assert program.input.stored == (48, 7, 6)
    # Three blocks of the 48 channels, then six, each a sweep of 3 x 3 taps without stride.
    assert program.layers[0].cycles < program.layers[0].passes * 2 * 6 * 7 * 7 + 200


def cycles_of(graph, machine):
    codes = random_codes(graph, 1, np.random.default_rng(0))
    program = assert_equal_at_every_layer(graph, machine, codes)
    layer = program.layers[-1]
    return layer.cycles / layer.passes


def test_pointwise_layers_share_arrays():
    """Of 9 elements a 1x1 layer uses as many as the machine reads words: 8 blocks at once."""
    graph = one_layer((64, 12, 12), 16, Window())
    wide = cycles_of(graph, convolver(vector_words=4, groups=2))
    narrow = cycles_of(graph, convolver(vector_words=1, groups=1))
    assert wide < 2 * 144 + 100
    assert narrow > 2 * 8 * 144


def test_larger_kernels_go_in_parts():
    """7x7 on 3x3 is 9 sweeps, each as large as the output and two rows and columns more."""
    graph = one_layer((8, 16, 16), 16, Window((7, 7), padding=(3, 3, 3, 3)))
    assert 9 * 18 * 18 < cycles_of(graph, convolver()) < 9 * 18 * 18 + 16 * 16 * 2 + 100


def test_lines_too_short():
    graph = one_layer((8, 4, 30), 8, SAME)
    assert compile(graph, convolver(line_words=32)).cycles
    with pytest.raises(
        NoMulError,
        match=r"layer layer1: a row with its padding has 32 words, line "
        r"buffers of test-\S+ have line_words = 31; set line_words = 32",
    ):
        compile(graph, convolver(line_words=31))


def test_weights_too_large():
    graph = one_layer((8, 4, 4), 8, SAME, weight_bits=8)
    with pytest.raises(NoMulError, match=r"layer layer1: its weights are up to 64, passes of"):
        compile(graph, dataclasses.replace(convolver("vpe", weights="s4"), pass_shift_bits=1))


def test_depthwise_and_groups():
    net = NetworkBuilder((24, 6, 6), np.random.default_rng(3), weight_bits=3)
    x = net.conv("input", 24, SAME, groups=24)
    x = net.conv(x, 48, groups=24)
    x = net.conv(x, 12, groups=3)
    net.avg_pool(x, Window((6, 6)))
    graph = net.graph()
    for machine in MACHINES:
        codes = random_codes(graph, 2, np.random.default_rng(0))
        assert_equal_at_every_layer(graph, machine, codes)


def test_activations_of_16_bits():
    net = NetworkBuilder((9, 7, 8), np.random.default_rng(4), bits=16, weight_bits=3)
    net.max_pool(net.conv(net.conv("input", 12, SAME), 9), Window((2, 2), (2, 2)))
    graph = net.graph()
    codes = random_codes(graph, 2, np.random.default_rng(0))
    for kind in ("svpe", "vpe"):
        assert_equal_at_every_layer(graph, convolver(kind, activation_bits=16), codes)
