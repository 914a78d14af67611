"""Stochastic rounding: the register, the noise, and what it does to sums."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.stochastic import (
    channel_keys,
    lfsr_states,
    noise_below,
    requantize_stochastic,
    stochastic_noise,
)

# x**32 + x**22 + x**2 + x + 1, the lowest power first: taps 32, 22, 2, 1.
POLYNOMIAL = 1 << 32 | 1 << 22 | 1 << 2 | 1 << 1 | 1


def product(a: int, b: int) -> int:
    """Of two polynomials over two elements, modulo ``POLYNOMIAL``."""
    total = 0
    while b:
        total ^= a if b & 1 else 0
        a, b = a << 1, b >> 1
        if a >> 32:
            a ^= POLYNOMIAL
    return total


def power(a: int, exponent: int) -> int:
    total = 1
    while exponent:
        total = product(total, a) if exponent & 1 else total
        a, exponent = product(a, a), exponent >> 1
    return total


def test_the_polynomial_is_primitive():
    order = (1 << 32) - 1
    assert power(2, order) == 1
    for prime in (3, 5, 17, 257, 65537):
        assert order % prime == 0
        assert power(2, order // prime) != 1


@given(st.integers(1, (1 << 32) - 1))
def test_a_leap_divides_by_the_eighth_power(seed):
    # Bit i of a state is the coefficient of x**i, and a step divides by x.
    states = lfsr_states(seed, 6).tolist()
    factor = power(2, 8)
    for state, following in pairwise(states):
        assert product(following, factor) == state


def test_states_do_not_depend_on_how_many_are_asked_for():
    assert np.array_equal(lfsr_states(77, 5), lfsr_states(77, 500)[:5])
    assert len(set(lfsr_states(77, 5000).tolist())) == 5000
    assert not lfsr_states(77, 5).flags.writeable


@pytest.mark.parametrize("seed", [0, -1, 1 << 32])
def test_impossible_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=f"a seed is 1 to 4294967295, not {seed}"):
        lfsr_states(seed, 1)


def test_channels_have_their_own_noise():
    noise = stochastic_noise(5, 4096, 3)
    assert noise.shape == (4096, 3)
    assert len(set(noise[:, 0].tolist())) == 4096
    assert np.array_equal(noise[0], lfsr_states(5, 3))
    assert np.array_equal(noise[7] ^ noise[0], np.full(3, channel_keys(8)[7]))


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 62))
def test_noise_lies_below_the_cut(noise, shift):
    found = int(noise_below(np.array([noise]), shift)[0])
    assert found == (noise << 32 >> (64 - shift) if shift <= 32 else noise << (shift - 32))
    assert 0 <= found < 1 << shift


@given(st.integers(-(1 << 62), 1 << 62), st.integers(0, 62), st.integers(0, (1 << 32) - 1))
def test_requantize_equals_unbounded_integers(x, shift, noise):
    low, high = -(1 << 31), (1 << 31) - 1
    below = noise >> (32 - shift) if shift <= 32 else noise << (shift - 32)
    expected = min(max((x + below) >> shift, low), high)
    assert requantize_stochastic(np.array([x]), shift, low, high, np.array([noise]))[0] == expected
    # What needs no rounding is not rounded.
    if x % (1 << shift) == 0:
        assert expected == min(max(x >> shift, low), high)


def test_the_mean_is_kept():
    noise = stochastic_noise(12345, 64, 1024)
    for x in range(-40, 41):
        found = requantize_stochastic(np.full(noise.shape, x), 4, -128, 127, noise)
        assert set(np.unique(found)) <= {x // 16, -(-x // 16)}
        # 65536 draws: the deviation of their mean is at most 0.002.
        assert abs(found.mean() - x / 16) < 0.01
