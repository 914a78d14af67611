import itertools

import numpy as np
import pytest

from compiler.terms import fewest_passes, largest_exponent
from quant.numbers import from_terms, to_terms


def fits(weights: np.ndarray, shifts: tuple[int, ...], exponents: int) -> bool:
    return to_terms(weights, [(s, s + exponents - 1) for s in shifts]) is not None


@pytest.mark.parametrize("seed", range(60))
def test_no_fewer_passes_do(seed):
    source = np.random.default_rng(seed)
    exponents, shifts = int(source.integers(1, 8)), int(source.integers(1, 6))
    bits = int(source.integers(2, 8))
    weights = source.integers(-(1 << bits - 1), 1 << bits - 1, int(source.integers(1, 12)))
    found = fewest_passes(weights, exponents, shifts)
    if found is None:
        everything = tuple(range(shifts)) * 8
        assert not fits(weights, everything, exponents)
        return
    windows = [(s, s + exponents - 1) for s in found]
    terms = to_terms(weights, windows)
    assert terms is not None
    assert np.array_equal(from_terms(terms), weights)
    fewer = itertools.combinations_with_replacement(range(shifts), len(found) - 1)
    assert not any(fits(weights, candidate, exponents) for candidate in fewer) or found == [0]


def test_all_of_int8_takes_four_passes():
    weights = np.arange(-128, 128)
    shifts = fewest_passes(weights, 7, 8)
    assert shifts is not None
    assert len(shifts) == 4
    assert fits(weights, tuple(shifts), 7)


def test_zero_weights_take_one_pass():
    assert fewest_passes(np.zeros((2, 3), int), 7, 8) == [0]
    assert largest_exponent(np.zeros((2, 3), int)) == -1


def test_largest_exponent():
    assert largest_exponent(np.array([[3, -127]])) == 7
