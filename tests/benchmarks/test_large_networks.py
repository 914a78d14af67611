"""The large networks, scaled down, in tiles of the machine that runs them whole."""

import numpy as np
import pytest

from benchmarks.large_networks import LARGE_NETWORKS
from compiler.compile import compile
from quant.reference import run_reference
from sim.simulators import program_simulator


@pytest.mark.parametrize("name, layers", [("vgg16", 18), ("resnet50", 56), ("mobilenet", 29)])
def test_networks_equal_the_reference(name, layers):
    graph = LARGE_NETWORKS[name]("w4r", side=32, divisor=8)
    assert len(graph.layers) == layers
    program = compile(graph, "zynq7020-ddr")
    codes = np.random.default_rng(0).integers(-128, 128, (1, *graph.input_shape))
    found = program_simulator(program).run(codes)
    expected = run_reference(graph, codes)
    assert np.array_equal(found.outputs, expected[graph.output])
    for tensor, values in found.tensors.items():
        assert np.array_equal(values, expected[tensor]), tensor
