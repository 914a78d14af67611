"""Networks on machines whose codes split: program simulator, and compiled RTL."""

import numpy as np
import pytest

from compiler.accesses import accesses
from compiler.compile import compile
from nomul.engines import simulated_machine
from quant.reference import run_reference
from tests.machines import split_machine
from tests.random_networks import random_codes, random_network
from tests.sim.test_program import assert_equal_at_every_layer

MIXED = (4, 8, 12, 16, 20, 31)

MACHINES = [
    split_machine(),
    split_machine(2, accumulator_words=16, queue_words=32, feature_words=16384),
    split_machine(8, 24),
]


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("bits", [8, 16, 30])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed, bits, index):
    graph = random_network(100 * index + 10 * bits + seed, weight_bits=(8, 3)[seed % 2], bits=bits)
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("seed", range(12))
def test_mixed_widths_and_stochastic_rounding(seed, index):
    graph = random_network(seed, bits=(8, 16, 30)[seed % 3], mixed=MIXED, stochastic=True)
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


@pytest.mark.parametrize("bits", [8, 16, 30, 0])
def test_rtl(bits):
    graph = random_network(bits, bits=bits or 8, mixed=() if bits else MIXED, stochastic=True)
    machine = split_machine(queue_words=32, feature_words=4096, weight_words=8192)
    program = compile(graph, machine)
    codes = random_codes(graph, 2, np.random.default_rng(0))
    simulated = simulated_machine(program)
    expected = run_reference(graph, codes)
    for number, image in enumerate(codes):

        def check(name, found, number=number):
            assert np.array_equal(found, expected[name][number]), name

        outputs, cycles = simulated.trace(image, check)
        assert np.array_equal(outputs, expected[graph.output][number])
        assert cycles == program.cycles
        counted = accesses(machine, program.instructions.tolist())
        assert {register: simulated.get(register) for register in counted} == counted
        assert min(counted.values()) > 0 or bits
