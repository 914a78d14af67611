import dataclasses

import numpy as np
import pytest

from compiler.layout import FOLDED, Layouts, Unfolding
from compiler.prepare import prepare
from compiler.rewrite import unfolding_of
from quant.graph import Window
from quant.quantized import QConv, QRequantize
from tests.random_networks import NetworkBuilder

LANES = 8


def network(channels=8):
    return NetworkBuilder((channels, 4, 4), np.random.default_rng(0))


def unclipped(net):
    """The graph with every layer's limits those of one format."""
    for layer in net.layers:
        for name, value in (("low", -128), ("high", 127), ("format", net.formats["input"])):
            object.__setattr__(layer, name, value)
    return net.graph()


def prepared_of(graph, vector_words=1):
    return prepare(
        graph,
        LANES,
        Layouts(LANES),
        vector_words,
        unfolding_of,
    )


def steps(prepared):
    return [step.layer.name for step in prepared.steps]


def test_concatenation_in_place():
    net = network()
    a, b = net.conv("input", 5), net.conv("input", 9)
    c = net.concat(a, b)
    prepared = prepared_of(unclipped(net))
    assert steps(prepared) == [a, b]
    assert prepared.resolve(b) == (c, 1)
    assert prepared.tensors[c].layout.blocks == 3
    assert prepared.pitch(c) == 3


def test_nested_and_growing_concatenations_are_free():
    net = network()
    a, b, c = (net.conv("input", 8) for _ in range(3))
    ab = net.concat(a, b)
    abc = net.concat(ab, c)  # a concatenation in a concatenation
    d = net.conv(abc, 8)
    abcd = net.concat(a, b, c, d)  # the same parts again, and more
    prepared = prepared_of(unclipped(net))
    assert steps(prepared) == [a, b, c, d]
    assert prepared.resolve(ab) == (abcd, 0)
    assert prepared.resolve(abc) == (abcd, 0)
    assert prepared.resolve(d) == (abcd, 3)


def test_copies_where_a_tensor_cannot_stand_twice():
    net = network()
    a, b = net.conv("input", 8), net.conv("input", 8)
    first = net.concat(a, b)
    second = net.concat(b, a)
    twice = net.concat("input", "input")
    prepared = prepared_of(unclipped(net))
    copies = [name for name in steps(prepared) if "/" in name]
    assert copies == [f"{first}/block 0", f"{first}/block 1", f"{twice}/block 1"]
    assert prepared.resolve(f"{first}/block 1") == (first, 1)
    assert prepared.resolve(a) == (second, 1)


def test_a_clip_is_a_copy():
    net = network()
    a, b = net.conv("input", 8), net.conv("input", 8)
    c = net.concat(a, b)
    graph = unclipped(net)
    object.__setattr__(graph.layer(c), "low", 0)
    prepared = prepared_of(graph)
    assert steps(prepared) == [a, b, f"{c}/block 0", f"{c}/block 1"]
    assert [prepared.steps[2].layer.low, prepared.steps[2].layer.high] == [0, 127]


def test_residuals_need_no_copies():
    net = network()
    a = net.conv("input", 8, residual="input")
    b = net.conv(a, 8, residual="input")
    d = net.sum(a, b)
    twice = net.sum(d, d)
    assert steps(prepared_of(net.graph())) == [a, b, d, twice]


def test_different_layouts_are_added_on_the_engine():
    net = network(6)
    a, b = net.conv("input", 3), net.conv("input", 3)
    c = net.concat(a, b)
    added = net.sum("input", c)
    prepared = prepared_of(unclipped(net))
    layer = prepared.steps[-1].layer
    assert layer.name == added
    assert isinstance(layer, QConv)
    assert prepared.tensors[added].layout == prepared.tensors[layer.inputs[1]].layout


@pytest.mark.parametrize("shifts, inputs", [((0, 2), ("a", "b")), ((2, 0), ("b", "a"))])
def test_the_coarser_operand_is_the_residual(shifts, inputs):
    net = network()
    names = {"a": net.conv("input", 8), "b": net.conv("input", 8)}
    net.sum(names["a"], names["b"])
    object.__setattr__(net.layers[-1], "shifts", shifts)
    layer = prepared_of(net.graph()).steps[-1].layer
    assert layer.inputs == tuple(names[name] for name in inputs)
    assert layer.shifts == (0, 2)


def test_pools_and_left_shifts_run_on_the_engine():
    net = network()
    net.avg_pool("input", Window((2, 2)))
    for left, shift in ((3, 1), (1, 3)):
        net.requantize("input")
        object.__setattr__(net.layers[-1], "left", left)
        object.__setattr__(net.layers[-1], "shift", shift)
    prepared = prepared_of(net.graph())
    assert [type(step.layer) for step in prepared.steps] == [QConv, QConv, QRequantize]
    assert prepared.steps[1].layer.weight.max() == 4


def test_an_odd_pitch_for_depthwise_layers():
    net = network(16)
    x = net.conv("input", 16)
    net.conv(x, 16, Window((3, 3)), groups=16)
    assert prepared_of(net.graph(), 1).pitch(x) == 2
    assert prepared_of(net.graph(), 3).pitch(x) == 3
    assert prepared_of(net.graph(), 3).pitch("input") == 2


def image(readers=1, channels=3):
    net = network(channels)
    for _ in range(readers):
        net.conv("input", 8, Window((3, 3), padding=(1, 1, 1, 1)))
    return net


def test_an_image_of_few_channels_is_unfolded():
    prepared = prepared_of(image().graph())
    assert prepared.tensors["input"].unfolding == Unfolding(2, 1)
    assert prepared.tensors["input"].layout.channels == 6
    layer = prepared.steps[0].layer
    assert layer.weight.shape == (8, 6, 2, 3)
    assert layer.window.padding[0] == 0
    assert [b.words for b in prepared.buffers() if b.name == "input"] == [5 * 4]


def test_an_image_that_others_read_is_not():
    with_pool = image()
    with_pool.max_pool("input", Window((2, 2)))
    graphs = [image(readers=2).graph(), with_pool.graph(), image(channels=5).graph()]
    graphs.append(dataclasses.replace(image().graph(), output="input"))
    net = network(3)
    net.conv(net.conv("input", 3), 3, residual="input")
    graphs.append(net.graph())
    net = network(3)
    net.conv("input", 3, Window((3, 3), padding=(1, 1, 1, 1)), residual="input")
    graphs.append(net.graph())
    for graph in graphs:
        assert prepared_of(graph).tensors["input"].unfolding == FOLDED
