"""Which layers join."""

import math

import numpy as np

from quant.fusion import fuse
from quant.graph import Add, Clip, Conv, Graph, MaxPool, Window

SHAPE = (1, 4, 4)


def conv(name: str, x: str) -> Conv:
    one = np.ones((1, 1, 1, 1), np.float32)
    return Conv(name, (x,), SHAPE, one, np.zeros(1, np.float32), Window())


def clip(name: str, x: str, low: float = 0.0, high: float = math.inf) -> Clip:
    return Clip(name, (x,), SHAPE, low, high)


def steps_of(
    *layers, output: str | None = None, fraction=None
) -> list[tuple[str, tuple[str, ...]]]:
    graph = Graph("net", "x", SHAPE, layers, output or layers[-1].name)
    steps = fuse(graph, fraction or (lambda tensor: 0))
    assert sorted(x.name for step in steps for x in step.layers) == sorted(x.name for x in layers)
    return [(step.name, step.inputs) for step in steps]


def test_clips_join_in_one():
    layers = conv("c", "x"), clip("r", "c", -1.0, 5.0), clip("s", "r", 2.0, 9.0)
    assert steps_of(*layers) == [("s", ("x",))]
    (step,) = fuse(Graph("net", "x", SHAPE, layers, "s"), lambda tensor: 0)
    assert (step.summed, step.bounds) == ("c", (2.0, 5.0))


def test_clips_that_exclude_each_other():
    layers = clip("r", "x", -1.0, 0.0), clip("s", "r", 2.0, 9.0)
    (step,) = fuse(Graph("net", "x", SHAPE, layers, "s"), lambda tensor: 0)
    assert step.bounds == (2.0, 2.0)


def test_the_output_is_not_fused_away():
    layers = conv("c", "x"), clip("r", "c")
    assert steps_of(*layers, output="c") == [("c", ("x",)), ("r", ("c",))]


def test_a_residual_made_after_the_convolution():
    layers = (
        conv("c", "x"),
        MaxPool("p", ("x",), SHAPE, Window()),
        Add("a", ("c", "p"), SHAPE),
        clip("r", "a"),
    )
    assert steps_of(*layers) == [("p", ("x",)), ("r", ("x", "p"))]


def test_of_two_convolutions_the_coarser_or_later_takes_the_other():
    layers = conv("c", "x"), conv("d", "x"), Add("a", ("d", "c"), SHAPE)
    assert steps_of(*layers) == [("c", ("x",)), ("a", ("x", "c"))]
    fractions = {"c": 3, "d": 4}
    assert steps_of(*layers, fraction=fractions.get) == [("d", ("x",)), ("a", ("x", "d"))]


def test_split_gives_both_layers():
    layers = conv("c", "x"), Add("a", ("x", "c"), SHAPE), clip("r", "a")
    (step,) = fuse(Graph("net", "x", SHAPE, layers, "r"), lambda tensor: 0)
    alone, add = step.split()
    assert (alone.name, alone.inputs, alone.bounds) == ("c", ("x",), (-math.inf, math.inf))
    assert (add.name, add.inputs, add.bounds) == ("r", ("x", "c"), (0.0, math.inf))
