import numpy as np
import pytest

from compiler.model.external import External, Grid
from compiler.model.outline import outline, packed
from compiler.model.precision import NATIVE, Precision
from compiler.model.resources import estimate
from compiler.model.search import DMA, Limits, Task, evaluate, front, undominated
from compiler.model.space import ENGINES, Sizes, engine_tables, machine
from quant.imagenet_shapes import imagenet_shape

LIMITS = Limits("xc7z020", "xc7", 40_000, 106_400, 220, 140)
ENGINE = {
    "kind": "shift_gemm",
    "lanes": 16,
    "vector_words": 2,
    "groups": 1,
    "weights": "w4r",
    "dsp_columns": 0,
}


def task(**changes) -> Task:
    return Task(
        **{
            "graph": packed(outline(imagenet_shape("resnet18"))),
            "precision": Precision("", NATIVE),
            "limits": LIMITS,
            "external": External(16.0, 256, 6.9, 60),
            "grid": Grid(
                np.array([256, 512]),
                np.array([64, 512]),
                np.array([2048, 4096]),
                np.array([4096] * 2),
            ),
            "clock_mhz": 200.0,
            "activation_bits": 8,
            **changes,
        }
    )


def test_what_is_found_fits_and_is_what_the_model_says():
    found, count = evaluate(task(), [ENGINE])
    assert count == 4 and found
    for one in found:
        made = machine(one.engine, "xc7z020", 200.0, 8, **one.memory)
        alone = estimate(made, "xc7")
        assert not one.on_chip and np.isfinite(one.cycles)
        for name in ("lut", "ff", "dsp", "bram"):
            value = getattr(one, name)
            # Address bits of nests are all that parts share.
            assert value == pytest.approx(getattr(alone, name) + getattr(DMA, name), abs=60)
            assert value <= getattr(LIMITS, name)


def test_engines_that_cannot_be_count_as_one():
    wrong = {**ENGINE, "lanes": 12}
    large = {**ENGINE, "lanes": 64, "vector_words": 4, "groups": 4}
    assert evaluate(task(), [wrong, large]) == ([], 2)


def test_without_external_memory_a_large_network_has_no_machine():
    assert evaluate(task(external=None), [ENGINE])[0] == []


def test_the_front_is_what_none_betters():
    source = np.random.default_rng(3)
    costs = source.integers(0, 6, (60, 3))
    kept = undominated(costs)
    for place in range(60):
        better = [
            other
            for other in range(60)
            if (costs[other] <= costs[place]).all()
            and ((costs[other] < costs[place]).any() or other < place)
        ]
        assert (place in kept) == (not better)


def test_fronts_of_fronts_are_the_front():
    found, _ = evaluate(task(), [ENGINE, {**ENGINE, "lanes": 8}])
    parts = [evaluate(task(), [{**ENGINE, "lanes": lanes}])[0] for lanes in (16, 8)]
    assert {*map(str, front([*parts[0], *parts[1]]))} == {*map(str, found)}
    assert front([]) == []


def test_the_space_has_machines_of_every_engine():
    tables = list(engine_tables(ENGINES, 100))
    assert {table["kind"] for table in tables} == {*ENGINES}
    assert len({str(table) for table in tables}) == len(tables)
    made = [machine(table, "xc7z020", 100, 8) for table in tables[::40]]
    assert all(one is None or one.engine in ENGINES for one in made) and any(made)
    assert Sizes((1, 4), (1, 1), (1, 2), (1, 1)).grid().shape == (2, 3)
