"""Widths chosen by what each tensor adds to the error."""

import numpy as np
import pytest

from quant.calibrate import find_method, observe
from quant.dynamic import choose_widths, errors_alone
from quant.errors import NoMulError
from quant.floating import run_float
from quant.formats import FormatPlan
from quant.graph import Conv
from quant.mixed import MixedScheme
from quant.numbers import dequantize
from quant.quantize import quantize
from quant.reference import quantize_input, run_reference
from quant.schemes import find_scheme
from tests.quant.test_quantize import Network, images


def network():
    net = Network()
    first = net.relu(net.conv("x", 8))
    net.conv(net.relu(net.add(net.conv(net.pool(first), 8), net.pool(first))), 4)
    return net.graph()


GRAPH = network()
OBSERVED = observe(GRAPH, images(64))
PLAN = FormatPlan(GRAPH, OBSERVED, find_method("kl"), MixedScheme(find_scheme("int8")))


def relative_error(widths: dict[str, int]) -> float:
    qgraph = quantize(GRAPH, OBSERVED, "int16", "kl", widths=widths)
    x = images(64, seed=5)
    codes = run_reference(qgraph, quantize_input(qgraph, x), keep=[GRAPH.output])[GRAPH.output]
    found = dequantize(codes, qgraph.format_of(GRAPH.output).fraction)
    exact = run_float(GRAPH, x, keep=[GRAPH.output])[GRAPH.output]
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def test_errors_alone_are_those_of_a_network_with_one_narrow_tensor():
    noise = errors_alone(PLAN, None)
    assert set(noise) == set(PLAN.free)
    for name, expected in noise.items():
        steps = {step.name for step in PLAN.steps if isinstance(step.layer, Conv)}
        widths = {name: 8} | ({f"{name}.weight": 16} if name in steps else {})
        assert relative_error(widths) == pytest.approx(expected**0.5, rel=0.35)


def test_a_tighter_error_widens_more():
    noise = errors_alone(PLAN, None)
    before: set[str] = set()
    for error in (1.0, 0.6 * sum(noise.values()) ** 0.5, 0.2 * sum(noise.values()) ** 0.5, 1e-9):
        widths = choose_widths(GRAPH, OBSERVED, error)
        wide = {name for name, width in widths.items() if width == 16}
        assert before <= wide <= set(PLAN.free)
        left = [noise[name] for name in PLAN.free if name not in wide]
        assert sum(left) <= error**2
        before = wide
    assert before == set(PLAN.free)
    assert not any(width == 16 for width in choose_widths(GRAPH, OBSERVED, 1.0).values())


def test_the_error_that_is_left_is_as_asked_for():
    total = sum(errors_alone(PLAN, None).values()) ** 0.5
    widths = choose_widths(GRAPH, OBSERVED, 0.5 * total)
    activations = {name: width for name, width in widths.items() if not name.endswith(".weight")}
    exact = activations | {name: 16 for name in widths if name.endswith(".weight")}
    assert relative_error(exact) < 0.65 * total


def test_an_error_of_nothing_is_refused():
    with pytest.raises(NoMulError, match="an error of 0 asks for exact outputs; give more than 0"):
        choose_widths(GRAPH, OBSERVED, 0)


@pytest.mark.parametrize("radix", ["mse", "kl", "accuracy"])
def test_widths_are_for_the_radix_points_that_the_network_gets(radix):
    """Errors are those of the searched points, and the tensors are known to the quantizer."""
    widths = choose_widths(GRAPH, OBSERVED, 1e-9, "min-max", radix=radix)
    assert 16 in widths.values()
    qgraph = quantize(GRAPH, OBSERVED, "int8", "min-max", radix=radix, widths=widths)
    assert qgraph.format_of(GRAPH.output).bits == 16
