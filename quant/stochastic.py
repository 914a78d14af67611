"""Stochastic rounding with noise that is a function of seed, channel and position.

The noise needs nothing of a machine: neither the order in which it makes outputs nor its size. So
reference, simulators and hardware round alike, and a run with the same seed repeats.
"""

from functools import lru_cache

import numpy as np

from quant.numbers import saturate

__all__ = [
    "CHANNEL_STEP",
    "FEEDBACK",
    "LEAP",
    "NOISE_BITS",
    "channel_keys",
    "lfsr_states",
    "noise_below",
    "requantize_stochastic",
    "stochastic_noise",
]

NOISE_BITS = 32
FEEDBACK = 1 << 31 | 1 << 21 | 1 << 1 | 1 << 0
"""Taps 32, 22, 2 and 1 of the register: every state but 0 comes once in 2**32 - 1 steps."""

LEAP = 8
"""Steps of the register from one position to the next: as far as its codes are wide."""

CHANNEL_STEP = 2654435769
"""2**32 over the golden ratio, odd: no two of 2**32 channels have the same key."""


def _step(state: int) -> int:
    """The next state of the register: shifted right, the taps toggled if a 1 falls out."""
    return state >> 1 ^ (FEEDBACK if state & 1 else 0)


def _leaps() -> list[int]:
    """What the lowest ``LEAP`` bits of a state add to the rest, shifted, after as many steps."""
    table = []
    for state in range(1 << LEAP):
        for _ in range(LEAP):
            state = _step(state)
        table.append(state)
    return table


LEAPS = _leaps()


@lru_cache(maxsize=64)
def lfsr_states(seed: int, count: int) -> np.ndarray:
    """States of a 32-bit Galois register at ``count`` positions: int64 (count,), read-only.

    State ``p`` is that after ``LEAP * p`` steps from ``seed``. A step shifts right, and where a 1
    falls out the bits of ``FEEDBACK`` are toggled. Errors: ``ValueError`` for a seed that is not
    in 1 .. 2**32 - 1.

    >>> [hex(state) for state in lfsr_states(1, 3)]
    ['0x1', '0xdb36c002', '0xb6f6b6c3']
    """
    if not 1 <= seed < 1 << NOISE_BITS:
        raise ValueError(f"a seed is 1 to {(1 << NOISE_BITS) - 1}, not {seed}")
    states = np.empty(count, np.int64)
    state = int(seed)
    for position in range(count):
        states[position] = state
        state = state >> LEAP ^ LEAPS[state & ((1 << LEAP) - 1)]
    states.flags.writeable = False
    return states


def channel_keys(channels: int) -> np.ndarray:
    """What tells channels' noise apart, ``c * CHANNEL_STEP`` modulo 2**32: int64 (channels,).

    >>> channel_keys(3).tolist()
    [0, 2654435769, 1013904242]
    """
    return np.arange(channels, dtype=np.int64) * CHANNEL_STEP & ((1 << NOISE_BITS) - 1)


def stochastic_noise(seed: int, channels: int, positions: int) -> np.ndarray:
    """Noise of every output of a layer: int64 (channels, positions), each 0 .. 2**32 - 1.

    ``lfsr_states(seed)[p] ^ channel_keys()[c]`` for the layer's output channel ``c`` and the
    output position ``p`` in row-major order. Every image has the same.

    >>> stochastic_noise(1, 2, 2).tolist()
    [[1, 3677798402], [2654435768, 1157740987]]
    """
    return lfsr_states(seed, positions) ^ channel_keys(channels)[:, None]


def noise_below(noise: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """Noise of ``shift`` bits, 0 .. 2**shift - 1: the highest of the 32, above them shifted left.

    >>> noise_below(np.array([0xC0000001]), np.array([0, 2, 32, 33])).tolist()
    [0, 3, 3221225473, 6442450946]
    """
    shift = np.asarray(shift, np.int64)
    right, left = np.maximum(NOISE_BITS - shift, 0), np.maximum(shift - NOISE_BITS, 0)
    return noise >> right << left


def requantize_stochastic(
    x: np.ndarray, shift: np.ndarray | int, low: int, high: int, noise: np.ndarray
) -> np.ndarray:
    """Accumulator to code: ``saturate((x + r) >> shift, low, high)``, ``r`` = noise below the cut.

    So ``x / 2**shift`` is rounded up with the probability of its fraction, and its mean is kept.

    Parameters
    ----------
    x : integers (..., channels, height, width), sizes up to 2**62
    shift : 0 .. 62, broadcasts
    noise : int64 (channels, height, width), as of :func:`stochastic_noise`

    >>> noise = np.array([0x00000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
    >>> requantize_stochastic(np.array([6, 6, 6, -6]), 2, -8, 7, noise).tolist()
    [1, 1, 2, -1]
    """
    return saturate(np.asarray(x, np.int64) + noise_below(noise, shift) >> shift, low, high)
