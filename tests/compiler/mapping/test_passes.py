import numpy as np
import pytest

from compiler.mapping.passes import choose_passes
from quant.errors import NoMulError
from quant.weight_formats import weight_format
from tests.machines import machine


def passes(arch, weight):
    return choose_passes(arch, arch.engine_config.format, "layer", weight)


@pytest.mark.parametrize(
    "weights, fmt, shifts",
    [
        ([1, -64], "w4", [0]),
        ([8, -256, 0], "w4", [2]),
        ([3, 64], "w4", 2),
        ([85, -128], "w4", 4),
        ([12, -4, 8], "log4", [0]),
        ([24, -2], "log4", [1]),
        ([3, -96, 128], "log5", [0]),
        ([5, 1], "log5", 2),
    ],
)
def test_passes(weights, fmt, shifts):
    weight = np.array(weights).reshape(-1, 1, 1, 1)
    found, parts = passes(machine(weights=fmt), weight)
    assert (len(found) if isinstance(shifts, int) else found) == shifts
    assert np.isin(np.abs(parts), weight_format(fmt).levels).all()
    assert np.array_equal(sum(part << shift for part, shift in zip(parts, found)), weight)


def test_out_of_reach():
    with pytest.raises(
        NoMulError, match=r"layer layer: a weight needs the term 2\*\*7, .* reaches 2\*\*6; use"
    ):
        passes(machine(pass_shift_bits=0), np.array([[[[-128]]], [[[1]]]]))


def test_too_many_passes():
    narrow = machine(weights="w3", activation_bits=16, pass_shift_bits=4)
    # A power of two takes 3 of the 16 shifts' powers; most weights need one in every second place.
    weight = np.array([[[[0b10101010101010101]]]])
    assert len(passes(narrow, weight)[0]) == 9
    with pytest.raises(NoMulError, match=r"layer layer: a weight needs the term 2\*\*18"):
        passes(narrow, weight << 2)
