import numpy as np

from compiler.prepare import prepare
from quant.quantized import QConv
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


def steps(prepared):
    return [step.layer.name for step in prepared.steps]


def test_concatenation_in_place():
    net = network()
    a, b = net.conv("input", 5), net.conv("input", 9)
    c = net.concat(a, b)
    prepared = prepare(unclipped(net), LANES)
    assert steps(prepared) == [a, b]
    assert prepared.resolve(b) == (c, 1)
    assert prepared.tensors[c].layout.blocks == 3


def test_nested_and_growing_concatenations_are_free():
    net = network()
    a, b, c = (net.conv("input", 8) for _ in range(3))
    ab = net.concat(a, b)
    abc = net.concat(ab, c)  # a concatenation in a concatenation
    d = net.conv(abc, 8)
    abcd = net.concat(a, b, c, d)  # the same parts again, and more
    prepared = prepare(unclipped(net), LANES)
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
    prepared = prepare(unclipped(net), LANES)
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
    prepared = prepare(graph, LANES)
    assert steps(prepared) == [a, b, f"{c}/block 0", f"{c}/block 1"]
    assert [prepared.steps[2].layer.low, prepared.steps[2].layer.high] == [0, 127]


def test_operands_stand_in_different_banks():
    net = network()
    a = net.conv("input", 8, residual="input")
    b = net.conv(a, 8, residual="input")
    c = net.conv(b, 8, residual="input")
    d = net.sum(a, b)
    prepared = prepare(net.graph(), LANES)
    # Both a and b stand opposite the input: one of them is copied to be added to the other.
    assert steps(prepared) == [f"{a}/residual", a, b, c, f"{d}/residual", d]
    for step in prepared.steps:
        if step.residual:
            sides = [prepared.banks.find(prepared.resolve(n)[0]) for n in step.layer.inputs]
            assert sides[0][0] == sides[1][0]
            assert sides[0][1] != sides[1][1]


def test_different_layouts_are_added_on_the_engine():
    net = network(6)
    a, b = net.conv("input", 3), net.conv("input", 3)
    c = net.concat(a, b)
    added = net.sum("input", c)
    prepared = prepare(unclipped(net), LANES)
    layer = prepared.steps[-1].layer
    assert layer.name == added
    assert isinstance(layer, QConv)
    assert prepared.tensors[added].layout == prepared.tensors[c].layout
