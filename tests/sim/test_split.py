"""Networks on machines whose codes split: program simulator, and compiled RTL."""

import numpy as np
import pytest

from compiler.compile import compile
from nomul.engines import simulated_machine
from quant.reference import run_reference
from tests.machines import split_machine
from tests.random_networks import random_codes, random_network
from tests.sim.test_program import assert_equal_at_every_layer

MACHINES = [
    split_machine(),
    split_machine(2, accumulator_words=16, queue_words=32),
    split_machine(8, 24),
]


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("bits", [8, 16, 30])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed, bits, index):
    graph = random_network(100 * index + 10 * bits + seed, weight_bits=(8, 3)[seed % 2], bits=bits)
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)
