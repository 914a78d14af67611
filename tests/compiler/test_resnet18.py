"""A network of ImageNet's size, whole, on the array of the small machine."""

import numpy as np

from benchmarks.resnet18 import resnet18
from compiler.compile import compile
from quant.reference import run_reference
from sim.simulators import program_simulator


def test_resnet18():
    graph = resnet18("w4r")
    program = compile(graph, "zynq7020-imagenet")
    assert program.architecture.macs_per_cycle == 1536
    assert program.busy > 0.88
    codes = np.random.default_rng(0).integers(-128, 128, (1, *graph.input_shape))
    found = program_simulator(program).run(codes)
    expected = run_reference(graph, codes)
    for layer in graph.layers:
        assert np.array_equal(found.tensors[layer.name], expected[layer.name]), layer.name
