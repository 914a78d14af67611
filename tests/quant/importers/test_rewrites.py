"""Rewrites leave results as they are and merge what they should."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quant.floating import run_float
from quant.graph import Add, Clip, Conv, Graph, MaxPool, Window
from quant.importers.lowering import to_float32
from quant.importers.rewrites import simplify

SIZE = 5


@st.composite
def chains(draw):
    """Layers over 4 channels of 5 x 5, each of which reads one or two earlier tensors."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    layers, names = [], ["x"]
    for index in range(draw(st.integers(1, 7))):
        name, source = f"layer{index}", draw(st.sampled_from(names[-2:]))
        shape = (4, SIZE, SIZE)
        kind = draw(st.sampled_from(["scale", "factor", "conv", "grouped", "clip", "pool", "add"]))
        bias = rng.standard_normal(4)
        if kind in ("scale", "factor"):
            shift = bias if kind == "scale" else bias * 0
            weight = rng.standard_normal((4, 1, 1, 1))
            layers.append(Conv(name, (source,), shape, weight, shift, Window(), 4))
        elif kind in ("conv", "grouped"):
            groups = 1 if kind == "conv" else 2
            padding = draw(st.sampled_from([(1, 1, 1, 1), (0, 0, 0, 0)]))
            kernel = (3, 3) if any(padding) else (1, 1)
            weight = rng.standard_normal((4, 4 // groups, *kernel))
            window = Window(kernel, padding=padding)
            layers.append(Conv(name, (source,), shape, weight, bias, window, groups))
        elif kind == "clip":
            low, high = sorted(draw(st.lists(st.floats(-2, 2), min_size=2, max_size=2)))
            layers.append(Clip(name, (source,), shape, low, high))
        elif kind == "pool":
            layers.append(MaxPool(name, (source,), shape, Window((3, 3), padding=(1, 1, 1, 1))))
        else:
            layers.append(Add(name, (source, draw(st.sampled_from(names))), shape))
        names.append(name)
    return layers, draw(st.sampled_from(names[1:]))


def run(layers, output):
    graph = Graph("test", "x", (4, SIZE, SIZE), tuple(map(to_float32, layers)), output)
    x = np.random.default_rng(1).standard_normal((2, 4, SIZE, SIZE)).astype(np.float32)
    return run_float(graph, x)[output]


@settings(max_examples=150, deadline=None)
@given(chains())
def test_results_stay(chain):
    layers, output = chain
    expected = run(layers, output)
    simple, renamed = simplify(layers, output)
    assert len(simple) <= len(layers)
    found = run(simple, renamed)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))


def scaling(name, source, shift=0.0):
    weight, bias = np.full((4, 1, 1, 1), 2.0), np.full(4, shift)
    return Conv(name, (source,), (4, SIZE, SIZE), weight, bias, Window(), 4)


def clip(name, source, low, high):
    return Clip(name, (source,), (4, SIZE, SIZE), low, high)


def test_what_nothing_reads_is_left_out():
    layers, output = simplify([clip("a", "x", 0, 1), clip("b", "x", 0, 2)], "b")
    assert [layer.name for layer in layers] == ["b"] and output == "b"


def test_clips_in_a_row_are_one():
    layers, output = simplify([clip("a", "x", 0, np.inf), clip("b", "a", -1, 6)], "b")
    assert layers == [clip("a", "x", 0, 6)] and output == "a"


def test_a_tensor_with_two_readers_stays():
    shape = (4, SIZE, SIZE)
    layers = [scaling("a", "x"), scaling("b", "a"), Add("c", ("a", "b"), shape)]
    assert simplify(layers, "c") == (layers, "c")


def test_a_scale_after_the_output_is_not_merged_into_it():
    layers, output = simplify([scaling("a", "x"), scaling("b", "a")], "a")
    assert [layer.name for layer in layers] == ["a"] and output == "a"
