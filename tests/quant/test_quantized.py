"""What a quantized graph refuses, and that its formats survive a file."""

from dataclasses import replace

import numpy as np
import pytest

from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format, to_log
from quant.quantized import QAdd, QConv, QMaxPool, QRequantize, QuantizedGraph
from quant.reference import predict, run_layer, run_reference

LINEAR = Format(8, False, 0)
LOG = Format(8, False, 0, logarithmic=True)
SHAPE = (2, 4, 4)


def graph_of(*layers, fmt: Format = LINEAR) -> QuantizedGraph:
    return QuantizedGraph("net", "x", SHAPE, fmt, layers, layers[-1].name, "test")


def residual(**changes) -> QConv:
    shift = np.array([4, 6], np.int32)
    values = {
        "name": "y",
        "inputs": ("x", "x"),
        "shape": SHAPE,
        "format": LOG,
        "low": 0,
        "high": LOG.high,
        "weight": np.array([[[[3]], [[-2]]], [[[8]], [[64]]]], np.int32),
        "weight_fraction": shift,
        "bias": np.array([5, -9]),
        "shift": shift,
        "residual_shift": shift - np.int32(1),
        "window": Window(),
        "groups": 1,
        "scheme": "test",
    }
    return QConv(**(values | changes))


def codes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, *SHAPE))


def test_a_logarithmic_layer_is_the_linear_one_then_to_log():
    layer, x = residual(), codes()
    linear = run_layer(replace(layer, format=LINEAR), [x, x], [LINEAR] * 2)
    found = run_reference(graph_of(layer), x)["y"]
    assert found.dtype == np.int32
    assert not np.array_equal(found, linear)
    assert np.array_equal(found, to_log(linear))


def test_every_kind_of_layer_makes_logarithmic_codes():
    x = codes()
    clip = QRequantize("y", ("x",), SHAPE, LOG, 0, 48, left=0, shift=2)
    assert np.array_equal(run_reference(graph_of(clip), x)["y"], to_log(np.rint(x / 4).clip(0, 48)))
    add = QAdd("y", ("x", "x"), SHAPE, LOG, 0, LOG.high, (0, 0), 1)
    assert np.array_equal(run_reference(graph_of(add), x)["y"], to_log(x.clip(0, 192)))


def test_formats_survive_a_file(tmp_path):
    graph = graph_of(residual())
    graph.save(tmp_path / "net")
    loaded = QuantizedGraph.load(tmp_path / "net")
    assert loaded.format_of("y") == LOG
    assert loaded.format_of("x") == LINEAR
    images = codes().astype(np.float32)
    assert np.array_equal(predict(loaded, images), predict(graph, images))


def test_a_logarithmic_input_is_refused():
    with pytest.raises(ValueError, match="the input x is logarithmic; only layers make such codes"):
        graph_of(residual(), fmt=LOG)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 100), (5, 192), (-1, 192)])
def test_bounds_that_are_no_logarithmic_codes_are_refused(low, high):
    message = rf"layer y is clipped to {low} .. {high}, but bounds of a logarithmic .* up to 192"
    with pytest.raises(ValueError, match=message):
        graph_of(residual(low=low, high=high))


def test_residual_shifts_that_differ_between_channels_are_refused(tmp_path):
    wrong = residual(residual_shift=np.array([3, 3], np.int32))
    message = (
        "layer y: shift - residual_shift is 1 in channel 0 but 3 in channel 1; "
        "it is residual fraction - output fraction"
    )
    with pytest.raises(ValueError, match=message):
        graph_of(wrong)
    alone = replace(wrong, inputs=("x",))
    graph = graph_of(alone)
    object.__setattr__(graph, "layers", (wrong,))
    graph.save(tmp_path / "net")
    with pytest.raises(NoMulError, match=message):
        QuantizedGraph.load(tmp_path / "net")


def test_rounding_survives_a_file_and_defaults_to_even(tmp_path):
    layer = residual(rounding="stochastic", seed=99)
    graph = graph_of(layer)
    graph.save(tmp_path / "net")
    loaded = QuantizedGraph.load(tmp_path / "net").layers[0]
    assert (loaded.rounding, loaded.seed) == ("stochastic", 99)
    assert (residual().rounding, residual().seed) == ("even", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounding": "up"}, "layer y has the rounding 'up'; known are even, stochastic"),
        ({"rounding": "stochastic"}, "layer y has the seed 0; a seed is 1 to 4294967295 with"),
        ({"rounding": "stochastic", "seed": 1 << 32}, "has the seed 4294967296"),
        ({"seed": 5}, "layer y has the seed 5; .* 0 without"),
    ],
)
def test_impossible_roundings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        graph_of(residual(**changes))


def test_layers_without_a_shift_cannot_round():
    pool = QMaxPool("y", ("x",), SHAPE, LINEAR, 0, 255, Window(), rounding="stochastic", seed=1)
    assert not pool.rounds and residual().rounds
    with pytest.raises(ValueError, match="layer y has no shift, so it cannot round"):
        graph_of(pool)
