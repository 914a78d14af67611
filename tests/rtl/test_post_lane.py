import itertools
from fractions import Fraction

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.isa import SHIFT
from rtl.post_lane import PostLane
from sim.bench import Bench

SIZES = [(16, 2), (24, 8), (32, 8), (32, 16)]
MOVES = list(itertools.product(range(4), range(4)))
"""``residual_left`` and ``right``: one of them is 0 in a compiled program, both work."""


def ranges(code_bits):
    """Saturation to signed codes, to unsigned ones, and to a part of them."""
    top = 1 << code_bits
    return (-top // 2, top // 2 - 1), (0, top - 1), (-1, top // 2), (1, 3 * top // 4)


def wrap(value, bits):
    half = 1 << bits - 1
    return (value + half) % (2 * half) - half


def lane_vectors(bits, code_bits, left, right, span, rng):
    """Rows of sum, bias, shift and residual.

    Around every border of rounding and saturation for all shifts, also where the residual only
    just brings a large quotient back or does not; and anything at all.
    """
    low, high = span
    shifts = np.arange(1 << SHIFT.width)
    top = 1 << code_bits
    rows = []
    for shift in shifts.tolist():
        residuals = [0, -top, top - 1, *rng.integers(-top, top, 3)]
        # Ties are at odd multiples of half a code.
        halves = [0, -2, -1, 1, 3, 2 * low - 1, 2 * low + 1, 2 * high - 1, 2 * high + 1]
        halves += [2 * h + 1 for h in rng.integers(low, high + 1, 3)]
        for k, half in enumerate(halves):
            residual = int(residuals[k % len(residuals)])
            unit = 1 << shift + right
            total = half * unit // 2 - (residual << left + shift) + int(rng.integers(-1, 2))
            if -(1 << bits - 1) <= total < 1 << bits - 1:
                bias = int(rng.integers(-(1 << bits - 1), 1 << bits - 1))
                rows.append((wrap(total - bias, bits), bias, shift, residual))
        # Where a quotient begins to be too large to be looked at, and beyond.
        for power in range(code_bits + 2, code_bits + 8):
            total = (1 << power + shift) * int(rng.choice([-1, 1])) + int(rng.integers(-1, 2))
            if -(1 << bits - 1) <= total < 1 << bits - 1:
                rows.append((total, 0, shift, int(rng.choice([-top, top - 1]))))
    half = 1 << bits - 1
    for total, bias, residual in itertools.product(
        (-half, half - 1), (-half, 0, half - 1), (-top, top - 1)
    ):
        rows.append((total, bias, int(rng.integers(32)), residual))
    count = 20
    columns = (
        rng.integers(-half, half, count) >> rng.integers(0, bits, count),
        rng.integers(-half, half, count) >> rng.integers(0, bits, count),
        rng.integers(0, 32, count),
        rng.integers(-top, top, count),
    )
    return np.array([*rows, *zip(*columns)], np.int64)


@pytest.mark.parametrize("bits, code_bits", SIZES)
def test_lane_equals_its_model(bits, code_bits):
    """Without a pause from vector to vector; the code of each `latency` cycles behind it."""
    dut = PostLane(bits, code_bits)
    rng = np.random.default_rng(bits)
    spans = itertools.cycle(ranges(code_bits))
    rows, ends, expected = [], [], []
    for (left, right), span in zip(MOVES, spans):
        low, high = span
        vectors = lane_vectors(bits, code_bits, left, right, span, rng)
        settings = {"residual_left": left, "right": right, "low": low, "high": high}
        # Settings are those of a run: they change when no vector is under way.
        rows.extend([{}] * dut.latency)
        begin = len(rows)
        names = ("sum", "bias", "shift", "residual")
        rows.extend(dict(zip(names, vector)) for vector in vectors.tolist())
        rows[begin] |= settings
        ends.extend(range(begin + dut.latency, len(rows) + dut.latency))
        total, bias, shift, residual = vectors.T
        codes = dut.model(bits, code_bits, total, residual, bias, shift, left, right, low, high)
        expected.extend(codes.tolist())
    rows.extend([{}] * (dut.latency + 1))
    shown = Bench(dut).played(rows, ["code"])["code"]
    assert [shown[end] for end in ends] == expected


@pytest.mark.parametrize("left, right", MOVES)
def test_model_is_the_formula(left, right):
    """Exact fractions, and Python's own rounding, which is half to even."""
    bits, code_bits = 20, 5
    rng = np.random.default_rng(left + 4 * right)
    for low, high in ranges(code_bits):
        vectors = lane_vectors(bits, code_bits, left, right, (low, high), rng)
        expected = []
        for total, bias, shift, residual in vectors.tolist():
            quotient = Fraction(wrap(total + bias, bits), 1 << shift) + (residual << left)
            code = min(max(round(quotient / (1 << right)), low), high)
            expected.append(code % (1 << code_bits))
        total, bias, shift, residual = vectors.T
        codes = PostLane.model(
            bits, code_bits, total, residual, bias, shift, left, right, low, high
        )
        assert codes.tolist() == expected


def test_ties_and_wraps():
    codes = PostLane.model(16, 8, np.array([1, 3, 5, -1, -3, -5]), 0, 0, 1, 0, 0, -128, 127)
    assert codes.tolist() == [0, 2, 2, 0, 254, 254]
    # What lies below a tie decides: (1 + 3) / 2 and (2 + 3) / 2, exactly and with 1 / 512 more.
    assert PostLane.model(16, 8, np.array([256, 257]), 3, 0, 8, 0, 1, 0, 255).tolist() == [2, 2]
    assert PostLane.model(16, 8, np.array([512, 513]), 3, 0, 8, 0, 1, 0, 255).tolist() == [2, 3]
    # The sum wraps where it does not fit; the residual comes after it.
    assert PostLane.model(16, 8, np.array([32767]), 0, 1, 8, 0, 0, -128, 127).tolist() == [128]
    assert PostLane.model(16, 8, np.array([32767]), 1, 0, 8, 0, 0, -128, 127).tolist() == [127]


@pytest.mark.parametrize("bits, code_bits", SIZES)
def test_conversion(bits, code_bits):
    rtlil.convert(PostLane(bits, code_bits))


@pytest.mark.parametrize("code_bits", [2, 5, 8])
def test_logarithmic_codes(code_bits):
    """Every code there is, as it is and as its nearest logarithmic one."""
    dut = PostLane(16, code_bits, logarithmic=True)
    codes = np.arange(1 << code_bits)
    # Codes whose nearest logarithm would be one more than there is are clipped before.
    high = 3 << code_bits - 2
    rows, expected = [], []
    for as_log in (1, 0):
        settings = {"as_log": as_log, "low": 0, "high": high}
        rows += [settings] + [{}] * dut.latency
        rows += [{"sum": int(code)} for code in codes]
        expected += dut.model(16, code_bits, codes, 0, 0, 0, 0, 0, 0, high, as_log).tolist()
    rows += [{}] * dut.latency
    shown = Bench(dut).played(rows, ["code"])["code"]
    count, begin = len(codes), 1 + dut.latency
    starts = (begin, 2 * begin + count)
    got = [shown[start + n + dut.latency] for start in starts for n in range(count)]
    assert got == expected
