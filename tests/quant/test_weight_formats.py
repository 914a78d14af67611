import numpy as np
import pytest

from quant.errors import NoMulError
from quant.weight_formats import FORMATS, WeightFormat, weight_format

LEVELS = {
    "w3": {0, 1, 2, 4},
    "w4r": {0, 1, 2, 4, 8, 16, 32},
    "w4": {0, 1, 2, 4, 8, 16, 32, 64},
    "sp2": {q1 + q2 for q1 in (0, 1, 2, 4) for q2 in (0, 4)},
    "log4": {0, 1, 2, 3, 4, 6, 8, 12},
    "log5": {0, *(1 << k for k in range(8)), *(3 << k for k in range(6))},
}
BITS = {"w3": 3, "w4r": 4, "w4": 4, "sp2": 4, "log4": 4, "log5": 5}
POWERS = {"w3": 3, "w4r": 6, "w4": 7, "sp2": 4, "log4": 4, "log5": 8}


def test_all_are_here():
    assert set(FORMATS) == set(LEVELS)


@pytest.mark.parametrize("name", LEVELS)
def test_levels(name):
    fmt = weight_format(name)
    assert fmt.levels.tolist() == sorted(LEVELS[name])
    assert fmt.bits == BITS[name]
    assert fmt.powers == POWERS[name]
    assert len(fmt.magnitudes) == 1 << fmt.bits - 1


@pytest.mark.parametrize("name", LEVELS)
def test_codes(name):
    fmt = weight_format(name)
    weights = np.concatenate([fmt.levels, -fmt.levels]).reshape(2, -1)
    codes = fmt.encode(weights)
    assert codes.min() >= 0 and codes.max() < 1 << fmt.bits
    assert np.array_equal(fmt.decode(codes), weights)
    # Every code has a value; a zero with a sign is zero.
    everything = fmt.decode(np.arange(1 << fmt.bits))
    half = len(fmt.magnitudes)
    assert everything[:half].tolist() == list(fmt.magnitudes)
    assert everything[half:].tolist() == [-size for size in fmt.magnitudes]


@pytest.mark.parametrize("name, wrong", [("w3", 3), ("w4r", 64), ("w4", -128), ("sp2", 7)])
def test_no_level(name, wrong):
    with pytest.raises(ValueError, match=f"{wrong} is no level of {name}"):
        weight_format(name).encode(np.array([[0, 1], [wrong, 2]]))


def test_unknown_format():
    with pytest.raises(NoMulError, match="no weight format w5; known are w3, w4r, "):
        weight_format("w5")


def test_powers_stop_at_the_first_gap():
    assert WeightFormat("gap", (0, 1, 2, 8)).powers == 2
