"""Random layers: the reference, torch and ONNX Runtime agree bit for bit."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import layers
from benchmarks.layers import LayerCase, check_case, check_layers, random_case


@st.composite
def cases(draw) -> LayerCase:
    return random_case(lambda low, high: draw(st.integers(low, high)))


@settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(cases())
def test_reference_equals_torch_and_onnxruntime(case):
    assert check_case(case) == []


def test_evenly_drawn_layers():
    assert check_layers(500, seed=1) == (500, 0)


def test_a_difference_is_found(monkeypatch):
    run_layer = layers.run_layer
    monkeypatch.setattr(layers, "run_layer", lambda *args: run_layer(*args) ^ 1)
    checked, mismatches = check_layers(20, seed=1)
    assert (checked, mismatches) == (20, 20)
