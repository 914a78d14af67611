"""Weights of several widths in a layer: program simulator, and compiled RTL to the cycle."""

import numpy as np
import pytest

from compiler.compile import compile
from nomul.engines import simulated_machine
from quant.graph import Window
from quant.quantized import QConv
from quant.reference import run_reference
from tests.machines import codebook_machine, machine
from tests.random_networks import NetworkBuilder, random_codes
from tests.sim.test_program import assert_equal_at_every_layer

SAME = Window((3, 3), padding=(1, 1, 1, 1))
TERMS = (1, 5, 21, 85)
"""Numbers of one to four terms."""


def mixed_network(terms, size=(9, 10), lanes=8):
    """A 3x3, a depthwise and a 1x1 layer; block b has weights of ``terms[b]`` terms."""
    rng = np.random.default_rng(0)
    net = NetworkBuilder((lanes, *size), rng)
    channels = lanes * len(terms) - 3
    x = net.conv("input", channels, SAME)
    x = net.conv(x, channels, SAME, groups=channels)
    net.conv(x, channels, Window())
    for layer in net.layers:
        assert isinstance(layer, QConv)
        for block, count in enumerate(terms):
            part = layer.weight[block * lanes : (block + 1) * lanes]
            sizes = [0, *TERMS[:count]]
            part[...] = rng.choice(sizes, part.shape) * rng.choice([-1, 1], part.shape)
            part[0, 0, 0, 0] = TERMS[count - 1]
    return net.graph("mixed")


MACHINES = [
    machine(8, 1, 1),
    machine(8, 3, 2),
    machine(8, 2, 4, accumulator_words=32),
    codebook_machine(5, 2, 2),
]


@pytest.mark.parametrize("arch", MACHINES, ids=lambda arch: arch.name)
@pytest.mark.parametrize("terms", [(4, 1, 1), (3, 2, 1, 1), (1, 2), (2, 2, 1, 1, 1)])
def test_blocks_with_passes_of_their_own(arch, terms):
    graph = mixed_network(terms, lanes=arch.lanes)
    codes = random_codes(graph, 2, np.random.default_rng(0))
    program = assert_equal_at_every_layer(graph, arch, codes)
    if arch.groups == 1:
        assert [layer.passes for layer in program.layers] == [
            pytest.approx(np.average(terms)) for _ in program.layers
        ]


def test_a_block_pays_for_itself():
    arch = machine(8, 1, 1)
    cycles = [
        compile(mixed_network(terms, (16, 16)), arch).cycles
        for terms in ((1, 1, 1, 1), (2, 1, 1, 1), (2, 2, 2, 2))
    ]
    quarter = (cycles[2] - cycles[0]) / 4
    assert cycles[1] - cycles[0] == pytest.approx(quarter, rel=0.1)


def test_rtl():
    arch = MACHINES[1]
    graph = mixed_network((3, 2, 1, 1), (6, 7))
    program = compile(graph, arch)
    codes = random_codes(graph, 2, np.random.default_rng(0))
    simulated = simulated_machine(program)
    expected = run_reference(graph, codes)[graph.output]
    for image, outputs in zip(codes, expected, strict=True):
        found, cycles = simulated.run_codes(image)
        assert np.array_equal(found, outputs)
        assert cycles == program.cycles
