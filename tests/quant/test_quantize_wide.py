"""Whole networks at 16 and 32 bits, mixed, and with stochastic rounding."""

import numpy as np
import pytest

from quant.calibrate import find_method, observe
from quant.errors import NoMulError
from quant.floating import run_float
from quant.formats import FormatPlan
from quant.graph import AvgPool, MaxPool
from quant.mixed import MixedScheme
from quant.numbers import dequantize
from quant.quantize import quantize
from quant.quantized import QConv, QuantizedGraph
from quant.reference import largest_sum, predict
from quant.schemes import find_scheme
from quant.sizes import model_bytes
from quant.widths import SUMS, layer_width, width_of
from tests.quant.test_quantize import Network, images


def network(seed: int = 0):
    """Residuals, a pool, an average, an addition on its own, a depthwise convolution."""
    net = Network(seed)
    first = net.relu(net.conv("x", 8))
    second = net.relu(net.add(net.conv(first, 8), first))
    third = net.relu(net.conv(net.pool(second), 8, groups=8))
    both = net.add(net.conv(third, 8), net.pool(second))
    net.pool(net.relu(net.add(both, third)), kind=AvgPool)
    return net.graph()


GRAPH = network()
OBSERVED = observe(GRAPH, images(48))
X = images(40, seed=9)
EXACT = run_float(GRAPH, X, keep=[GRAPH.output])[GRAPH.output].reshape(len(X), -1)


def error(qgraph: QuantizedGraph) -> float:
    return float(np.linalg.norm(predict(qgraph, X) - EXACT) / np.linalg.norm(EXACT))


def check_sums(qgraph: QuantizedGraph) -> None:
    for layer in qgraph.layers:
        if isinstance(layer, QConv):
            limits = SUMS[layer_width(qgraph, layer)]
            formats = [qgraph.format_of(name) for name in layer.inputs]
            assert largest_sum(layer, formats) < 1 << (limits.bits - 1)
            assert layer.shift.min() >= 0 and layer.shift.max() <= limits.shift


@pytest.mark.parametrize(("width", "limit"), [(8, 0.03), (16, 2e-4), (32, 1e-6)])
@pytest.mark.parametrize("rounding", ["even", "stochastic"])
def test_every_width_is_as_close_as_it_can_be(width, limit, rounding):
    qgraph = quantize(GRAPH, OBSERVED, f"int{width}", "kl", rounding=rounding)
    check_sums(qgraph)
    assert error(qgraph) < limit * (2 if rounding == "stochastic" else 1)
    assert {layer_width(qgraph, layer) for layer in qgraph.layers} == {width}
    assert all((layer.rounding == rounding) == layer.rounds for layer in qgraph.layers) or (
        rounding == "even"
    )
    numbers = sum(
        layer.weight.size + layer.bias.size for layer in qgraph.layers if isinstance(layer, QConv)
    )
    assert model_bytes(qgraph) == numbers * width // 8


def test_codes_of_32_bits_stay_below_the_limit_of_their_sums():
    qgraph = quantize(GRAPH, OBSERVED, "int32", "kl")
    for layer in qgraph.layers:
        assert layer.low >= -(1 << 31) and layer.high < 1 << 31
        if isinstance(layer, QConv):
            # The finest weights that the sums have room for.
            formats = [qgraph.format_of(name) for name in layer.inputs]
            assert largest_sum(layer, formats) >= 1 << 58


def test_stochastic_rounding_repeats_and_has_no_bias():
    first, again, other = (
        quantize(GRAPH, OBSERVED, "int8", "kl", rounding="stochastic", seed=seed)
        for seed in (5, 5, 6)
    )
    assert np.array_equal(predict(first, X), predict(again, X))
    assert not np.array_equal(predict(first, X), predict(other, X))
    seeds = [layer.seed for layer in first.layers if layer.rounds]
    assert len(set(seeds)) == len(seeds)


def test_a_mixed_network_has_the_widths_that_were_asked_for():
    first, second = [x.name for x in quantize(GRAPH, OBSERVED).layers if isinstance(x, QConv)][:2]
    widths = {"x": 16, first: 32, f"{second}.weight": 16}
    qgraph = quantize(GRAPH, OBSERVED, "int8", "kl", widths=widths)
    assert qgraph.scheme == "int8+mixed"
    check_sums(qgraph)
    assert width_of(qgraph.input_format) == 16
    assert width_of(qgraph.format_of(first)) == 32
    peaks = [int(np.abs(qgraph.layer(x).weight.astype(np.int64)).max()) for x in (first, second)]
    assert peaks[0] > 1 << 20 and 1 << 10 < peaks[1] < 1 << 15
    found = [layer_width(qgraph, layer) for layer in qgraph.layers]
    assert found[:2] == [32, 32] and 8 in found
    assert error(qgraph) < 0.03


def test_a_tensor_without_a_format_of_its_own_has_no_width():
    pooled = next(layer for layer in GRAPH.layers if isinstance(layer, MaxPool))
    with pytest.raises(NoMulError, match=f"no tensor {pooled.name} can have a width of its own"):
        quantize(GRAPH, OBSERVED, widths={pooled.name: 16})


def test_all_wide_by_widths_is_the_wide_scheme():
    plain = quantize(GRAPH, OBSERVED, "int16", "kl")
    scheme = MixedScheme(find_scheme("int8"))
    free = FormatPlan(GRAPH, OBSERVED, find_method("kl"), scheme).free
    mixed = quantize(GRAPH, OBSERVED, "int8", "kl", widths=dict.fromkeys(free, 16))
    for layer, other in zip(plain.layers, mixed.layers, strict=True):
        assert layer.format == other.format
        if isinstance(layer, QConv):
            assert np.array_equal(layer.weight, other.weight)
            assert np.array_equal(layer.bias, other.bias)


def test_observations_stand_for_their_images():
    x = images(48)
    one, two = quantize(GRAPH, x, "int8"), quantize(GRAPH, OBSERVED, "int8")
    assert np.array_equal(predict(one, X), predict(two, X))


def test_radix_points_are_searched():
    plain = quantize(GRAPH, OBSERVED, "int8a4", "min-max")
    found = quantize(GRAPH, OBSERVED, "int8a4", "min-max", radix="mse")
    best = quantize(GRAPH, OBSERVED, "int8a4", "mse")
    assert [x.format for x in found.layers] == [x.format for x in best.layers]
    assert error(found) < error(plain)
    assert error(quantize(GRAPH, OBSERVED, "int8a4", "min-max", radix="accuracy")) < error(plain)


def test_a_fixed_radix_point_cannot_be_searched():
    with pytest.raises(NoMulError, match="int8q5 fixes the radix points; leave out the search"):
        quantize(GRAPH, OBSERVED, "int8q5", radix="mse")


def test_dequantized_outputs_have_the_fraction_of_the_output():
    qgraph = quantize(GRAPH, OBSERVED, "int32", "kl")
    fraction = qgraph.format_of(qgraph.output).fraction
    codes = np.ldexp(predict(qgraph, X), fraction)
    assert np.array_equal(codes, np.rint(codes))
    assert np.array_equal(dequantize(codes, fraction), predict(qgraph, X))
