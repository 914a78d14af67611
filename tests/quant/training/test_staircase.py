"""The staircase: its levels, borders and signs."""

import numpy as np
import pytest
import torch

from quant.errors import NoMulError
from quant.training.staircase import increments, level_count, staircase


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_levels_of_each_width(bits):
    count = level_count(bits)
    limits = (0.7 * 2.0 ** -torch.arange(count))[None, :, None].expand(2, count, 1)
    x = torch.linspace(-1.5, 1.5, 4001).reshape(1, -1)
    found = staircase(x, limits if bits > 1 else None)
    sizes = [2.0**-i for i in range(count)]
    expected = {*sizes, *(-size for size in sizes)} | ({0.0} if bits > 1 else set())
    # A 15th octave below the top is finer than the grid of x.
    seen = set(found.unique().tolist())
    assert seen == expected if bits < 5 else seen < expected
    assert len(expected) == max(2**bits - 1, 2)


def test_formula_of_the_paper_with_thresholds_of_each_side():
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=(4, 50)).astype(np.float32)).reshape(4, 5, 10)
    limits = torch.sort(torch.from_numpy(random.uniform(0.05, 1.5, (2, 3, 4))), dim=1)
    limits = limits.values.flip(1).float()
    found = staircase(x, limits)
    for o in range(4):
        for value, code in zip(x[o].flatten().tolist(), found[o].flatten().tolist(), strict=True):
            borders = limits[0 if value > 0 else 1, :, o].tolist()
            size = next((2.0**-i for i, t in enumerate(borders) if abs(value) >= t), 0.0)
            assert code == (size if value > 0 else -size)


def test_a_weight_at_a_threshold_belongs_to_the_larger_level():
    limits = torch.tensor([0.5, 0.25]).reshape(1, 2, 1).expand(2, 2, 1)
    x = torch.tensor([[0.5, -0.5, 0.25, -0.25, 0.0]])
    assert staircase(x, limits).tolist() == [[1.0, -1.0, 0.5, -0.5, 0.0]]


def test_one_bit_has_no_zero():
    assert staircase(torch.tensor([[0.0, -0.1, 3.0]]), None).tolist() == [[1.0, -1.0, 1.0]]


def test_increments_sum_to_the_largest_level():
    for count in (1, 3, 7, 15):
        assert increments(count).sum() == 1


@pytest.mark.parametrize("bits", [0, 6, -1])
def test_other_widths_are_refused(bits):
    with pytest.raises(NoMulError, match=f"weights of {bits} bits are no staircase"):
        level_count(bits)
