import dataclasses

import numpy as np
import pytest

from boards.parts import load_part
from compiler.compile import compile as compile_graph
from compiler.model.external import Grid
from compiler.model.outline import packed
from compiler.model.precision import NATIVE, Precision
from compiler.model.search import Task
from nomul.exploration import (
    architecture_of,
    best_first,
    confirm,
    copies,
    explore,
    limits_of,
    network_outline,
)
from quant.errors import NoMulError
from tests.compiler.model.shapes import residual

ENGINES = [
    {
        "kind": "shift_gemm",
        "lanes": lanes,
        "vector_words": words,
        "groups": 1,
        "weights": weights,
        "dsp_columns": 0,
    }
    for lanes in (4, 8)
    for words in (1, 2)
    for weights in ("w3", "w4r")
]


def task(**changes) -> Task:
    grid = Grid(*(np.array([words]) for words in (256, 64, 4096, 16384)))
    return Task(
        **{
            "graph": packed(residual()),
            "precision": Precision("own format", NATIVE),
            "limits": limits_of(load_part("xc7z020"), 0.8),
            "external": None,
            "grid": grid,
            "clock_mhz": 100.0,
            "activation_bits": 8,
            **changes,
        }
    )


def silent(done, total, label) -> None:
    pass


def test_one_core_and_two_find_the_same():
    one, count = explore(task(), ENGINES, silent, workers=1)
    two, again = explore(task(), ENGINES, silent, workers=2)
    assert count == again == 8
    assert {*map(str, one)} == {*map(str, two)}


def test_a_local_cluster_finds_the_same():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        found, count = explore(task(), ENGINES, silent, cluster=cluster.scheduler_address)
    expected, _ = explore(task(), ENGINES, silent, workers=1)
    assert count == 8 and {*map(str, found)} == {*map(str, expected)}


def test_a_cluster_that_is_not_there_is_said():
    pytest.importorskip("distributed", reason="Dask is not installed")
    with pytest.raises(NoMulError, match="no Dask scheduler answers at nowhere"):
        explore(task(), ENGINES, silent, cluster="nowhere")


def test_machines_on_chip_are_confirmed_by_the_compiler():
    work = task()
    found, _ = explore(work, ENGINES, silent, workers=1)
    for one in found:
        assert one.on_chip
        exact = confirm(one, work)
        assert exact == compile_graph(residual(), architecture_of(one, work)).cycles
        assert abs(one.cycles / exact - 1) < 0.05
    elsewhere = dataclasses.replace(found[0], on_chip=False)
    assert confirm(elsewhere, work) is None
    mixed = Precision("", 8, {"b": ((16, 2), (4, 8))})
    assert confirm(found[0], task(precision=mixed)) is None


def test_goals():
    work = task()
    found, _ = explore(work, ENGINES, silent, workers=1)
    limits = work.limits
    latency = best_first(found, "latency", limits)
    assert [one.cycles for one in latency] == sorted(one.cycles for one in found)
    assert [one.lut for one in best_first(found, "lut", limits)] == sorted(one.lut for one in found)
    rates = [copies(one, limits) / one.cycles for one in best_first(found, "throughput", limits)]
    assert rates == sorted(rates, reverse=True) and copies(latency[0], limits) >= 2
    assert copies(dataclasses.replace(latency[0], on_chip=False), limits) == 1


def test_a_network_without_a_machine_is_said():
    none = Grid(*(np.array([words]) for words in (256, 64, 64, 1024)))
    with pytest.raises(NoMulError, match="no machine for residual fits xc7z020"):
        explore(task(grid=none), ENGINES, silent, workers=1)


def test_a_quantized_graph_is_a_network(tmp_path):
    graph = residual()
    graph.save(tmp_path / "one.qgraph")
    found = network_outline(str(tmp_path / "one.qgraph"), None, None, 8)
    assert [layer.name for layer in found.layers] == [layer.name for layer in graph.layers]
    assert network_outline("resnet18", None, None, 4).input_format.bits == 4
