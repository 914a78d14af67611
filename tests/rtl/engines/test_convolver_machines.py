"""Whole machines with convolvers as compiled RTL: codes and cycles of networks."""

import numpy as np
import pytest

from compiler.compile import compile
from nomul.engines import simulated_machine
from quant.graph import Window
from quant.reference import run_reference
from tests.machines import convolver
from tests.random_networks import NetworkBuilder, random_codes, random_network

# The queue is so short that vectors wait for it.
SIZES = {
    "line_words": 32,
    "queue_words": 32,
    "weight_words": 1024,
    "feature_words": 2048,
    "instruction_words": 512,
}
MACHINES = {kind: convolver(kind, 4, 2, 2, **SIZES) for kind in ("svpe", "vpe")}


def alexnet_shaped():
    """Kernels of 11, 5 and 3, a stride of 4, groups of channels, pools and a classifier."""
    net = NetworkBuilder((3, 35, 35), np.random.default_rng(5), weight_bits=3)
    pool = Window((3, 3), (2, 2))
    x = net.max_pool(net.conv("input", 8, Window((11, 11), (4, 4), (2, 2, 2, 2))), pool)
    x = net.conv(x, 16, Window((5, 5), padding=(2, 2, 2, 2)), groups=2)
    x = net.conv(x, 12, Window((3, 3), padding=(1, 1, 1, 1)))
    x = net.max_pool(x, pool)
    net.conv(net.conv(x, 20), 10)
    return net.graph("alexnet-shaped")


def strided():
    """A residual block with a stride, whose shortcut is a 1x1 convolution, and average pooling."""
    net = NetworkBuilder((9, 13, 11), np.random.default_rng(6), weight_bits=3)
    x = net.conv("input", 20, Window((3, 3), (2, 2), (1, 1, 1, 1)))
    shortcut = net.conv("input", 20, Window((1, 1), (2, 2)))
    x = net.conv(x, 20, Window((3, 3), padding=(1, 1, 1, 1)), residual=shortcut)
    net.avg_pool(x, Window((7, 6)))
    return net.graph("strided")


@pytest.mark.parametrize("kind", MACHINES)
def test_networks(kind):
    for graph in (alexnet_shaped(), strided(), random_network(3), random_network(8)):
        check(graph, MACHINES[kind])


def test_activations_of_16_bits():
    net = NetworkBuilder((3, 9, 8), np.random.default_rng(4), bits=16, weight_bits=3)
    x = net.conv("input", 12, Window((3, 3), padding=(1, 1, 1, 1)))
    net.conv(net.max_pool(net.conv(x, 9), Window((2, 2), (2, 2))), 5)
    check(net.graph("wide"), convolver("svpe", 4, 2, 2, activation_bits=16, **SIZES))


def check(graph, architecture):
    program = compile(graph, architecture)
    codes = random_codes(graph, 2, np.random.default_rng(0))
    machine = simulated_machine(program)
    expected = run_reference(graph, codes)[graph.output]
    for image, outputs in zip(codes, expected):
        found, cycles = machine.run_codes(image)
        assert np.array_equal(found, outputs), graph.name
        assert cycles == program.cycles
