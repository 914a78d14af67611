import json

import pytest

from benchmarks import lane_costs
from benchmarks.resource_fit import fit, lanes, solve, worst
from compiler.model.coefficients import coefficients


def test_a_sum_of_terms_is_found_again():
    observed = [
        ({"one": 1.0, "size": size, "more": size**2}, 7 + 3 * size, 100.0) for size in (1, 2, 5, 9)
    ]
    found = solve(observed)
    assert found["one"] == pytest.approx(7) and found["size"] == pytest.approx(3)
    assert found["more"] == pytest.approx(0, abs=1e-6)


def test_the_kept_coefficients_are_those_of_the_kept_machines():
    for resource, blocks in fit().items():
        for block, terms in blocks.items():
            kept = coefficients()["terms"][resource][block]
            assert kept == pytest.approx(terms, rel=1e-3, abs=1e-3)
    assert coefficients()["lanes"] == lanes()
    kept = json.loads(lane_costs.RESULTS.read_text())
    assert lanes()["w4"]["xc7"]["8"]["lut"] == kept["w4.a8.xc7"]["lut"]


def test_the_largest_error_counts():
    rows = [
        {
            "machine": "a",
            "lut": 100,
            "lut.estimate": 95,
            "ff": 10,
            "ff.estimate": 11,
            "dsp": 1,
            "dsp.estimate": 1,
            "bram": 2,
            "bram.estimate": 2,
        },
        {
            "machine": "b",
            "lut": 100,
            "lut.estimate": 102,
            "ff": 10,
            "ff.estimate": 10,
            "dsp": 1,
            "dsp.estimate": 1,
            "bram": 2,
            "bram.estimate": 2.5,
        },
    ]
    found = worst(rows)
    assert found["model.lut_error"] == pytest.approx(0.05)
    assert found["model.ff_error"] == pytest.approx(0.1) and found["model.inexact"] == 1
