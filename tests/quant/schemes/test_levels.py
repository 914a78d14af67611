"""Levels of weights: what codes and passes hold, nearest rounding, fine ends."""

import numpy as np
import pytest

from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format, to_terms
from quant.schemes import find_scheme
from quant.schemes.levels import nearest, sums_of_two
from quant.weight_formats import FORMATS, weight_format


@pytest.mark.parametrize("name", [*FORMATS])
def test_a_scheme_has_the_levels_of_its_format(name):
    assert np.array_equal(find_scheme(name).levels, weight_format(name).levels)


@pytest.mark.parametrize("name", ["log4", "log5", "log6"])
def test_logarithms_are_powers_and_one_and_a_half_times_these(name):
    levels = find_scheme(name).levels
    powers = levels[np.bitwise_count(levels) == 1]
    assert np.array_equal(powers, 1 << np.arange(len(powers)))
    others = np.setdiff1d(levels, [0, *powers])
    assert np.array_equal(others, 3 << np.arange(len(others)))
    # All codes of four and six bits are taken; the top of five bits is a power.
    assert len(levels) == (1 << (int(name[-1]) - 1)) - (name == "log5")


@pytest.mark.parametrize("name", ["w3", "w4r", "w4"])
def test_sums_of_two_powers_take_two_passes(name):
    powers = weight_format(name).powers
    sizes = find_scheme(f"{name}x2").fine
    assert np.array_equal(sizes, sums_of_two(powers))
    window = (0, powers - 1)
    terms = to_terms(sizes, [window, window])
    assert terms is not None
    assert np.array_equal(terms.sum(axis=0), sizes)
    assert to_terms(sizes, [window]) is None


@pytest.mark.parametrize("name", ["w3", "w4", "log4", "log5", "log6", "sp2"])
def test_no_level_is_nearer(name):
    levels = find_scheme(name).levels
    x = np.random.default_rng(0).standard_normal(500) * levels[-1]
    signed = np.concatenate([-levels, levels])
    distance = np.abs(signed[:, None] - x).min(axis=0)
    assert np.array_equal(np.abs(nearest(levels, x) - x), distance)


@pytest.mark.parametrize("ends", ["", "+", "++"])
@pytest.mark.parametrize(("first", "last"), [(False, False), (True, False), (False, True)])
def test_ends_are_finer_where_the_name_says_so(ends, first, last):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 40, 1, 1)).astype(np.float32)
    conv = Conv("c", ("x",), (8, 3, 3), weight, np.zeros(8, np.float32), Window())
    codes = rng.integers(0, 256, (30, 40, 3, 3))
    values = (codes / 32).astype(np.float32)
    inputs = LayerInputs(codes, Format(8, False, 5), values, True, first, last)
    scheme = find_scheme(f"w4r{ends}")
    found = np.abs(scheme.quantize_weights(conv, inputs)[0])
    fine = bool((last and ends) or (first and ends == "++"))
    assert np.isin(found, sums_of_two(6) if fine else scheme.levels).all()
    assert np.isin(found, weight_format("w4r").levels).all() != fine
