import dataclasses

import pytest

from benchmarks.resource_fit import checks, worst
from compiler.model.coefficients import coefficients, lane_cost
from compiler.model.logic import find
from compiler.model.resources import all_terms, estimate
from quant.errors import NoMulError
from tests.machines import codebook_machine, convolver, machine


def test_errors_on_machines_that_nothing_was_fitted_to():
    found = worst(checks())
    assert found["model.machines"] >= 12
    assert found["model.lut_error"] <= 0.1 and found["model.ff_error"] <= 0.1
    assert found["model.inexact"] == 0


@pytest.mark.parametrize("family", ["xc7", "xcup"])
@pytest.mark.parametrize(
    "architecture",
    [machine(8, 2, 2), codebook_machine(), convolver("svpe"), convolver("vpe")],
    ids=lambda machine: machine.engine,
)
def test_larger_machines_take_more(architecture, family):
    small = estimate(architecture, family)
    config = dataclasses.replace(architecture.engine_config, lanes=architecture.lanes * 2)
    large = estimate(dataclasses.replace(architecture, engine_config=config), family)
    assert large.lut > 1.5 * small.lut and large.ff > 1.3 * small.ff
    assert all(name in all_terms(architecture, family) for name in ("post", architecture.engine))
    assert (small.dsp > 0) == (architecture.engine == "vpe")


def test_dsp_columns_take_the_place_of_tables():
    columns = machine(16, 3, 2, "w4r")
    config = dataclasses.replace(columns.engine_config, dsp_columns=12)
    mixed = estimate(dataclasses.replace(columns, engine_config=config), "xc7")
    assert mixed.dsp == 48 * 2 * 6 and mixed.lut < estimate(columns, "xc7").lut


def test_lanes_are_as_measured_and_linear_between():
    kept = coefficients()["lanes"]["w4"]["xc7"]
    assert lane_cost("w4", 8, "xc7", "lut") == kept["8"]["lut"]
    middle = (kept["4"]["ff"] + kept["8"]["ff"]) / 2
    assert lane_cost("w4", 6, "xc7", "ff") == pytest.approx(middle)


def test_what_no_machine_was_fitted_for_is_refused():
    with pytest.raises(NoMulError, match="no family ecp5; take a part of xc7, xcup"):
        estimate(machine(), "ecp5")
    with pytest.raises(NoMulError, match="no terms for the engine abacus"):
        find("abacus")
