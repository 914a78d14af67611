import numpy as np
import pytest

from compiler.compile import compile as compile_graph
from compiler.model.external import External, Grid
from compiler.model.network import NetworkModel, own_grid
from compiler.model.outline import outline
from compiler.model.precision import NATIVE, Precision
from quant.imagenet_shapes import imagenet_shape
from tests.compiler.model.shapes import MACHINES, networks, residual
from tests.machines import machine

EXTERNAL = External(16.0, 256, 16 * 3 / 7, 60)


def model(graph, bits=NATIVE, **layers) -> NetworkModel:
    return NetworkModel(graph, Precision("", bits, layers))


@pytest.mark.parametrize("architecture", MACHINES[:3], ids=lambda machine: machine.name)
def test_needs_are_those_of_the_program(architecture):
    # Weights of more levels than a format has would take passes that the model is not told of.
    graph = residual()
    needs = model(graph).needs(architecture)
    program = compile_graph(graph, architecture)
    if all(layer.passes <= 1 for layer in program.layers):
        assert needs.weight_words <= len(program.weights) <= 1.3 * needs.weight_words
    assert len(program.parameters) <= needs.parameter_words


def test_a_grid_is_its_machines():
    graph, architecture = outline(imagenet_shape("resnet18")), machine(16, 3, 2, "w4r")
    many = Grid(
        np.array([256, 512]), np.array([64, 512]), np.array([4096, 8192]), np.array([4096, 16384])
    )
    found = model(graph).cycles(architecture, many, EXTERNAL)
    for q in range(2):
        for s in range(2):
            one = Grid(
                *(part[[q]] for part in (many.accumulators, many.queue_words)),
                *(part[[s]] for part in (many.feature_words, many.weight_words)),
            )
            alone = model(graph).cycles(architecture, one, EXTERNAL)
            assert alone[0, 0] == pytest.approx(found[q, s])


def test_what_fits_stays_on_chip():
    graph, architecture = networks()[0], MACHINES[1]
    one = model(graph)
    grid = own_grid(architecture)
    inside = one.cycles(architecture, grid, None)
    assert np.isfinite(inside).all()
    assert one.cycles(architecture, grid, EXTERNAL) == inside
    small = Grid(grid.accumulators, grid.queue_words, np.array([64]), grid.weight_words)
    assert np.isinf(one.cycles(architecture, small, None)).all()
    assert one.cycles(architecture, small, EXTERNAL) > inside


def test_fewer_passes_of_some_channels_take_fewer_cycles():
    graph, architecture = residual(), MACHINES[1]
    grid = own_grid(architecture)
    eight = model(graph, 8).cycles(architecture, grid, None)
    mixed = model(graph, 8, b=((16, 2), (4, 8))).cycles(architecture, grid, None)
    four = model(graph, 8, b=((20, 4),)).cycles(architecture, grid, None)
    assert mixed < eight and four < eight


def test_tiles_of_all_steps():
    graph, architecture = outline(imagenet_shape("resnet18")), machine(16, 3, 2, "w4r")
    one = model(graph)
    steps = one.from_memory(architecture, own_grid(architecture), EXTERNAL)
    assert [*steps] == [*range(len(one.workload(architecture).works))]
    total = sum(step.cycles for step in steps.values())
    assert one.cycles(architecture, own_grid(architecture), EXTERNAL) == pytest.approx(
        total, abs=100
    )
