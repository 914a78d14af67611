"""Which tensors have formats of their own, and which take another's."""

from dataclasses import replace

from quant.calibrate import find_method, observe
from quant.formats import FormatPlan
from quant.mixed import MixedScheme
from quant.numbers import Format
from quant.schemes import find_scheme
from tests.quant.test_quantize import Network, images


def plan_of(net: Network, **widths: int) -> FormatPlan:
    graph = net.graph()
    scheme = MixedScheme(find_scheme("int8"), widths)
    return FormatPlan(graph, observe(graph, images(8)), find_method("min-max"), scheme)


def test_what_only_a_pool_reads_follows_it():
    net = Network()
    first = net.relu(net.conv("x"))
    pooled = net.pool(first)
    last = net.conv(net.upsample(pooled))
    plan = plan_of(net)
    upsampled = plan.graph.layers[-2].name
    assert plan.free == ["x", upsampled, last]
    assert {plan.decisive(name) for name in (first, pooled, upsampled)} == {upsampled}
    wide = plan_of(net, **{upsampled: 16})
    assert wide.wish(first).bits == wide.wish(pooled).bits == 16
    assert wide.weights(wide.steps[0]).width == 16
    assert wide.weights(wide.steps[-1]).width == 8


def test_what_a_pool_makes_of_a_tensor_with_other_readers_follows_that():
    net = Network()
    first = net.relu(net.conv("x"))
    one, two = net.pool(first), net.pool(first)
    last = net.add(one, two)
    plan = plan_of(net)
    assert plan.free == ["x", first, last]
    assert plan.decisive(one) == plan.decisive(two) == first


def test_a_tensor_within_a_split_step_is_as_wide_as_the_step():
    net = Network()
    last = net.add(net.conv("x", 3), "x")
    plan = plan_of(net, **{last: 16})
    step = plan.steps[-1]
    assert step.add is not None
    alone, _ = step.split()
    assert plan.inner(alone.name, step).bits == 16
    assert plan.weights(step).width == 16


def test_chosen_fractions_go_before_the_method():
    net = Network()
    net.conv("x")
    plan = plan_of(net)
    moved = FormatPlan(plan.graph, plan.observed, plan.method, plan.scheme, {"x": -3})
    assert moved.wish("x") == Format(8, True, -3)
    assert moved.wish(moved.graph.output) == plan.wish(plan.graph.output)


def test_steps_do_not_hang_on_widths():
    """Of two convolutions that are added, the same one takes in the other's tensor."""
    net = Network()
    net.relu(net.add(net.conv("x", 8), net.conv("x", 8, gain=3.0)))
    graph = net.graph()
    int8 = find_scheme("int8")
    plain = FormatPlan(graph, observe(graph, images(8)), find_method("min-max"), MixedScheme(int8))
    names = [(step.name, step.inputs) for step in plain.steps]
    for name in plain.free:
        wider = replace(plain, scheme=MixedScheme(int8, {name: 16}))
        wider.check()
        assert [(step.name, step.inputs) for step in wider.steps] == names
