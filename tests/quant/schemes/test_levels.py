"""Levels of weights: what codes and passes hold, nearest rounding, fine ends."""

import numpy as np
import pytest

from quant.graph import Conv, Window
from quant.layer_inputs import LayerInputs
from quant.numbers import Format, to_terms
from quant.schemes import find_scheme
from quant.schemes.levels import logarithmic, nearest, sums_of_two
from quant.weight_formats import FORMATS, weight_format


@pytest.mark.parametrize("name", [*FORMATS])
def test_a_scheme_has_the_levels_of_its_format(name):
    assert np.array_equal(find_scheme(name).levels, weight_format(name).levels)


@pytest.mark.parametrize("name", ["log4", "log5", "log6"])
def test_logarithms_fill_their_codes(name):
    levels, bits = find_scheme(name).levels, int(name[-1])
    assert len(levels) <= 1 << (bits - 1)
    powers = levels[np.bitwise_count(levels) == 1]
    assert np.array_equal(powers, 1 << np.arange(len(powers)))
    # The others stand in the middle of the top octaves, without a gap.
    finer = np.setdiff1d(levels, [0, *powers])
    assert len(finer)
    octaves = 3 * powers[:-1] // 2
    assert np.isin(finer, octaves).all()
    assert np.isin(octaves[octaves >= finer[0]], finer).all() or name == "log5"


@pytest.mark.parametrize(("octaves", "finer"), [(7, 1), (4, 3), (4, -1)])
def test_impossible_logarithms_are_refused(octaves, finer):
    with pytest.raises(ValueError, match="are no 4-bit codes"):
        logarithmic(4, octaves, finer)


@pytest.mark.parametrize("name", ["w3", "w4r", "w4"])
def test_sums_of_two_powers_take_two_passes(name):
    powers = weight_format(name).powers
    sizes = find_scheme(f"{name}x2").levels
    assert np.array_equal(sizes, sums_of_two(powers))
    window = (0, powers - 1)
    terms = to_terms(sizes, [window, window])
    assert terms is not None
    assert np.array_equal(terms.sum(axis=0), sizes)
    assert to_terms(sizes, [window]) is None


@pytest.mark.parametrize("name", ["w3", "w4", "log4", "log5", "log6", "sp2", "w3x2", "w4x2"])
def test_no_level_is_nearer(name):
    if name == "sp2" and name not in FORMATS:
        pytest.skip("no weight format sp2")
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
    assert np.isin(found, find_scheme("w4rx2" if fine else "w4r").levels).all()
    assert np.isin(found, scheme.levels).all() != fine
