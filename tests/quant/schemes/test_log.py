"""Levels of logarithmic weights, and rounding to the nearest value."""

import numpy as np
import pytest

from quant.numbers import encode_terms, to_terms
from quant.schemes import find_scheme
from quant.schemes.log import levels


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_one_term_levels_fill_the_codes(bits):
    sizes = levels(bits, 1)
    signed = np.concatenate([sizes, -sizes])
    codes = encode_terms(signed, bits)
    assert len(np.unique(codes)) == 2**bits - 1
    assert codes.max() < 2**bits


@pytest.mark.parametrize("bits", [3, 4, 5, 6])
def test_two_term_levels_take_two_passes(bits):
    sizes = levels(bits, 2)
    window = (0, 2 ** (bits - 1) - 2)
    terms = to_terms(sizes, [window, window])
    assert terms is not None
    assert np.array_equal(terms.sum(axis=0), sizes)
    assert sizes.max() < 2**31


@pytest.mark.parametrize("name", ["log2", "log3", "log4", "log5", "log6", "log3x2", "log5x2"])
def test_no_level_is_nearer(name):
    scheme = find_scheme(name)
    x = np.random.default_rng(0).standard_normal(500) * scheme.levels[-1]
    signed = np.concatenate([-scheme.levels, scheme.levels])
    distance = np.abs(signed[:, None] - x).min(axis=0)
    assert np.array_equal(np.abs(scheme.nearest(x) - x), distance)
