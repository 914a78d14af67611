from itertools import product

import numpy as np
import pytest

from compiler.model.compute import Engine, bypass_cycles, engine_cycles
from compiler.model.network import NetworkModel, own_grid
from compiler.model.onchip import layer_cycles
from compiler.model.precision import NATIVE, Precision
from compiler.model.work import workload
from tests.compiler.model.shapes import MACHINES, SPLIT, networks

ENDS = 60
"""Cycles of instructions before the first run, at most."""


@pytest.mark.parametrize(
    "architecture, passes",
    [*product(MACHINES, (1, 3)), (SPLIT, 1)],
    ids=lambda each: getattr(each, "name", None),
)
def test_layers_take_nearly_what_the_compiler_says(architecture, passes):
    for graph in networks():
        model = NetworkModel(graph, Precision("", NATIVE))
        exact = layer_cycles(graph, architecture, {layer.name: passes for layer in graph.layers})
        engine, grid = Engine.of(architecture), own_grid(architecture)
        total = 0.0
        for work in model.workload(architecture).works:
            rows, columns, blocks = (np.array(size) for size in work.output)
            found = [bypass_cycles(engine, work, rows, columns, blocks)]
            if work.ways:
                found = [
                    engine_cycles(
                        *(engine, work, way, passes, -(-blocks // way.split), rows, columns),
                        *(grid.accumulators, grid.queue_words),
                    )[0]
                    for way in work.ways
                ]
            cycles = float(min(found))
            assert abs(cycles - exact[work.owner]) < 0.06 * exact[work.owner] + ENDS
            total += cycles
        assert abs(total - sum(exact.values())) < 0.03 * sum(exact.values()) + ENDS


def test_a_run_without_waits_is_exact():
    # One part, one group, a queue that never fills: the rule of docs/machine.md by hand.
    architecture = MACHINES[0]
    engine = Engine.of(architecture)
    work = next(w for w in workload(networks()[0], architecture).works if w.owner == "fc")
    (way,) = work.ways
    groups = -(-work.output[2] // way.split)
    load, latency = architecture.lanes, architecture.engine_config.latency
    tiles = way.steps
    first = 5 + load + (tiles - 1) * (load + 1) + latency + 4
    last = first + (groups - 1) * tiles * (load + 1)
    found = engine_cycles(
        *(engine, work, way, 1.0, groups, np.array(1), np.array(1)),
        *(np.array([256]), np.array([256])),
    )
    assert found.tolist() == [last + 1 + 8]


def test_a_row_that_no_line_buffer_holds_cannot_be():
    architecture = MACHINES[4]
    work = workload(networks()[0], architecture).works[0]
    way = next(way for way in work.ways if way.lines)
    engine = Engine.of(architecture)
    sizes = np.array([8]), np.array([engine.line_words])
    found = engine_cycles(
        *(engine, work, way, 1.0, 1, *sizes, np.array([512]), np.array([256])),
    )
    assert np.isinf(found).all()
