import numpy as np
import pytest

from compiler.compile import compile
from nomul.allocation import (
    allocate_on,
    machine_costs,
    pass_counts,
    roomy,
    weight_words,
    with_passes,
)
from quant.allocation.allocate import uniform
from quant.allocation.budget import Budget
from quant.allocation.permutation import permute
from quant.allocation.sensitivity import Sensitivity
from quant.allocation.tables import WIDTHS
from quant.errors import NoMulError
from quant.graph import Conv
from quant.quantize import quantize
from tests.machines import machine
from tests.quant.allocation.networks import images, small_graph

MACHINE = machine(4, 2, 1, "w4r")
GRAPH = small_graph()
CONVS = [layer for layer in GRAPH.layers if isinstance(layer, Conv)]
RANDOM = np.random.default_rng(0)
COSTS = Sensitivity(
    "uniform",
    "nearest",
    "output",
    {c.name: RANDOM.lognormal(0, 2, (len(c.weight), 1)) * 4.0 ** -np.array(WIDTHS) for c in CONVS},
    {c.name: c.weight[0].size for c in CONVS},
)
OUTLINE = quantize(GRAPH, images(16), uniform(COSTS, 8).scheme())


def test_passes_of_widths():
    assert pass_counts(MACHINE, "log")[2] == pass_counts(MACHINE, "log")[3] == 1
    assert [pass_counts(MACHINE, "uniform")[bits] for bits in WIDTHS] == [1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_an_outline_has_the_passes_that_are_asked_for(count):
    counts = {c.name: np.full(len(c.weight), count) for c in CONVS}
    program = compile(with_passes(GRAPH, OUTLINE, counts), roomy(MACHINE))
    assert [layer.passes for layer in program.layers if layer.macs] == [count] * len(CONVS)
    assert sum(weight_words(program).values()) == len(program.weights)


def test_costs_are_those_of_programs():
    passes = pass_counts(MACHINE, "uniform")
    costs = machine_costs(MACHINE, GRAPH, OUTLINE, passes)
    counts = {c.name: np.full(len(c.weight), passes[5]) for c in CONVS}
    program = compile(with_passes(GRAPH, OUTLINE, counts), roomy(MACHINE))
    at = WIDTHS.index(5)
    assert costs.fixed_cycles + sum(c[at] for c in costs.cycles.values()) == program.cycles
    assert costs.fixed_words + sum(c[at] for c in costs.words.values()) == len(program.weights)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_cycles_are_kept(share):
    costs = machine_costs(MACHINE, GRAPH, OUTLINE, pass_counts(MACHINE, "uniform"))
    least, most = (costs.fixed_cycles + sum(c[at] for c in costs.cycles.values()) for at in (0, -1))
    budget = least + share * (most - least)
    found = allocate_on(MACHINE, GRAPH, OUTLINE, COSTS, [Budget("cycles", budget)])
    moved = permute(GRAPH, found.orders)
    program = compile(quantize(moved, images(16), found.scheme()), roomy(MACHINE))
    assert program.cycles <= budget
    assert 2 < found.mean < 8
    for conv in CONVS:
        bits = found.bits[conv.name]
        order = found.orders.get(conv.name, np.arange(len(bits)))
        blocks = [bits[order][start : start + 4] for start in range(0, len(bits), 4)]
        assert all(np.ptp(block) == 0 for block in blocks)


def test_too_few_cycles():
    with pytest.raises(NoMulError, match="100 cycles are too few"):
        allocate_on(MACHINE, GRAPH, OUTLINE, COSTS, [Budget("cycles", 100)])
