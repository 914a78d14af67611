import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.split.noise import Noise
from rtl.split.parts import PARTS, part_count, places, width_bits
from rtl.split.requantize import SplitRequantize, total_bits
from tests.rtl.split.feed import feed

PLACE_BITS = 26


def field(values, width, bits):
    return sum(
        (int(value) % (1 << bits)) << (PLACE_BITS << width) * p for p, value in enumerate(values)
    )


def rows_of(width, rng, count):
    """Totals around ties and borders of saturation, with their biases, residuals and shifts."""
    parts, bits = part_count(width), width_bits(width)
    room = min(total_bits(PLACE_BITS, width), PLACE_BITS << width)
    half = 1 << bits - 1
    top = min(31 if width == 0 else 47, room - 2)
    shift = rng.integers(0, top + 1, (count, parts))
    offset = int(rng.integers(-2, 3))
    limit = 1 << room - 2
    quotient = rng.choice([-half, -1, 0, 1, half - 1, half, 3], (count, parts))
    quotient = np.where(
        rng.integers(2, size=quotient.shape), quotient, rng.integers(-half, half, quotient.shape)
    )
    doubled = 2 * quotient + rng.integers(-1, 2, quotient.shape)
    wanted = (doubled.astype(object) * (1 << shift.astype(object))) // 2 + rng.integers(
        -1, 2, shift.shape
    )
    wanted = np.clip(wanted, -limit, limit - 1)
    bias = rng.integers(-limit // 4, limit // 4, shift.shape)
    # A residual must not lead out of the lane.
    left = np.maximum(shift - offset, 0)
    reach = np.maximum(np.minimum(half, (limit // 4) // (1 << left.astype(object))), 1).astype(
        np.int64
    )
    residual = rng.integers(-reach, reach)
    residual[shift - offset < 0] = 0
    return wanted.astype(np.int64) // 2, bias, residual, shift, offset


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("width", range(3))
def test_requantize(width, stochastic):
    rng = np.random.default_rng(width)
    bits = width_bits(width)
    half = 1 << bits - 1
    for low, high in ((-half, half - 1), (0, min(2 * half - 1, (1 << 31) - 1)), (-1, half // 2)):
        sums, bias, residual, shift, offset = rows_of(width, rng, 250)
        noise = rng.integers(0, 1 << 32, sums.shape)
        noise[:4] = np.array([0, 1, (1 << 32) - 1, 1 << 31])[:, None]
        rows = []
        room = min(PLACE_BITS << width, 64)
        for number in range(len(sums) + Noise.latency):
            row = {}
            if number < len(sums):
                at = places(width)
                residuals, shifts = [0] * PARTS, [0] * PARTS
                for place, value, amount in zip(at, residual[number], shift[number], strict=True):
                    residuals[place], shifts[place] = int(value), int(amount)
                row |= {
                    "width": width,
                    "stochastic": int(stochastic),
                    "offset": offset,
                    "low": int(low),
                    "high": int(high),
                    "sums": field(sums[number], width, room),
                    "parameters": {"bias": field(bias[number], width, room), "shift": shifts},
                    "residual": {f"place_{p}": value for p, value in enumerate(residuals)},
                }
            if number >= Noise.latency:
                values = [0] * PARTS
                for place, value in zip(places(width), noise[number - Noise.latency], strict=True):
                    values[place] = int(value)
                row["noise"] = values
            rows.append(row)
        found = feed(SplitRequantize(PLACE_BITS), rows, ["codes"], SplitRequantize.latency)
        codes = np.array(
            [[codes[f"place_{at}"] % (1 << bits) for at in places(width)] for (codes,) in found]
        )[: len(sums)]
        expected = SplitRequantize.model(
            sums + bias, residual, shift, noise if stochastic else None, offset, low, high
        )
        assert np.array_equal(codes, expected & (1 << bits) - 1)


def test_conversion():
    rtlil.convert(SplitRequantize(PLACE_BITS))


def test_every_8_bit_quotient():
    """All codes and those beyond, at ties and one beside them, for every shift."""
    # As far as sums of such quotients fit a place.
    shifts, quotients = range(18), np.arange(-131, 132)
    rows, expected = [], []
    for shift in shifts:
        half = 1 << shift >> 1
        beside = np.unique(
            [0, max(half - 1, 0), half, min(half + 1, 2 * half), 2 * half - (half > 0)]
        )
        totals = (quotients[:, None] * (1 << shift) + beside).reshape(-1)
        totals = np.pad(totals, (0, -len(totals) % PARTS)).reshape(-1, PARTS)
        # Each total at another place: its bias is 0.
        totals = np.random.default_rng(shift).permuted(totals, axis=1)
        rows += [
            {
                "low": -128,
                "high": 127,
                "sums": field(each, 0, PLACE_BITS),
                "parameters": {"bias": 0, "shift": [shift] * PARTS},
            }
            for each in totals
        ]
        expected.append(SplitRequantize.model(totals, 0, shift, None, 0, -128, 127))
    found = feed(SplitRequantize(PLACE_BITS), rows, ["codes"], SplitRequantize.latency)
    codes = [[codes[f"place_{at}"] % 256 for at in range(PARTS)] for (codes,) in found]
    assert np.array_equal(codes, np.concatenate(expected) % 256)
