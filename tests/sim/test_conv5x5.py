"""Networks on machines with codebook arrays: program simulator, and compiled RTL."""

import numpy as np
import pytest

from compiler.compile import compile
from nomul.engines import simulated_machine
from quant.graph import Window
from quant.reference import run_reference
from tests.machines import codebook_machine
from tests.random_networks import NetworkBuilder, random_codes, random_network
from tests.sim.test_program import assert_equal_at_every_layer

MACHINES = [
    codebook_machine(),
    codebook_machine(20, 1, 1),
    codebook_machine(10, 3, 4, accumulator_words=16, queue_words=32),
    codebook_machine(5, 4, 1, activation_bits=16),
]


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed, index):
    graph = random_network(100 * index + seed, weight_bits=(8, 3)[seed % 2])
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


def codebook_network(kernels, seed=0):
    """Layers of one codebook each."""
    rng = np.random.default_rng(seed)
    net = NetworkBuilder((3, 13, 12), rng)
    x = "input"
    for kernel in kernels:
        before = kernel // 2
        x = net.conv(x, 20, Window((kernel, kernel), padding=(before,) * 4))
        weight = net.layers[-1].weight
        weight[...] = rng.choice([0, *rng.integers(-128, 128, 3)], weight.shape)
    net.max_pool(x, Window((2, 2), (2, 2)))
    return net.graph("codebooks")


@pytest.mark.parametrize("index", range(len(MACHINES)))
def test_kernels_of_codebooks_take_one_pass(index):
    graph = codebook_network((1, 3, 5, 7, 9, 11))
    codes = random_codes(graph, 2, np.random.default_rng(0))
    program = assert_equal_at_every_layer(graph, MACHINES[index], codes)
    assert [layer.passes for layer in program.layers][:-1] == [1] * 6


@pytest.mark.parametrize(
    "graph", [codebook_network((3, 5, 1)), random_network(3)], ids=["codebooks", "random"]
)
def test_rtl(graph):
    machine = codebook_machine(queue_words=32, feature_words=4096, weight_words=4096)
    program = compile(graph, machine)
    codes = random_codes(graph, 2, np.random.default_rng(0))
    simulated = simulated_machine(program)
    expected = run_reference(graph, codes)[graph.output]
    for image, outputs in zip(codes, expected, strict=True):
        found, cycles = simulated.run_codes(image)
        assert np.array_equal(found, outputs)
        assert cycles == program.cycles
