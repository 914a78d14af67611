import pytest

from compiler.compile import compile as compile_graph
from compiler.model.onchip import layer_cycles
from compiler.model.outline import outline
from quant.errors import NoMulError
from quant.imagenet_shapes import imagenet_shape
from tests.compiler.model.shapes import MACHINES, SPLIT, networks
from tests.machines import machine
from tests.random_networks import random_network


@pytest.mark.parametrize("architecture", (*MACHINES, SPLIT), ids=lambda machine: machine.name)
def test_cycles_are_those_of_the_compiled_program(architecture):
    for graph in networks():
        program = compile_graph(graph, architecture)
        passes = {layer.name: int(layer.passes) for layer in program.layers}
        found = layer_cycles(graph, architecture, passes)
        assert found == {layer.name: layer.cycles for layer in program.layers}
        assert sum(found.values()) + 1 == program.cycles


@pytest.mark.parametrize("seed", range(6))
def test_cycles_of_any_widths(seed):
    graph = random_network(seed, bits=(8, 16, 30)[seed % 3], mixed=(4, 12, 31) * (seed % 2))
    program = compile_graph(graph, SPLIT)
    assert sum(layer_cycles(graph, SPLIT, {}).values()) + 1 == program.cycles


def test_an_engine_of_one_pass_refuses_more():
    graph = networks()[0]
    with pytest.raises(ValueError, match="2 passes: weights are multiplied by in one"):
        layer_cycles(graph, SPLIT, {graph.layers[0].name: 2})


def test_more_passes_take_more_cycles():
    graph = networks()[0]
    once = layer_cycles(graph, MACHINES[1], {})
    more = layer_cycles(graph, MACHINES[1], {"b": 3})
    assert more["b"] > 2 * once["b"]
    assert all(more[name] == once[name] for name in ("stem", "a", "fc"))


def test_what_does_not_fit_is_refused_as_by_the_compiler():
    graph = outline(imagenet_shape("resnet18"))
    with pytest.raises(NoMulError, match="feature memory: the network needs"):
        layer_cycles(graph, machine(8, 1, 1), {})
