import numpy as np
import pytest

from rtl.convolver.plan import SHIFT_PLANS, WIDTHS


@pytest.mark.parametrize("bits", WIDTHS)
def test_levels(bits):
    """``2**(n - 1) - 1`` powers of two a sign, and zero but for n = 1."""
    fmt = SHIFT_PLANS[bits].format
    powers = {1 << k for k in range(max(1, 2 ** (bits - 1) - 1))}
    assert set(fmt.levels.tolist()) == (powers if bits == 1 else powers | {0})
    assert fmt.bits == bits
    assert fmt.powers == len(powers)


@pytest.mark.parametrize("bits", WIDTHS)
def test_plan_makes_its_format(bits):
    plan = SHIFT_PLANS[bits]
    assert plan.sizes() == plan.format.magnitudes
    assert len(plan.terms) == 1
    weights = np.concatenate([plan.format.levels, -plan.format.levels])
    assert np.array_equal(plan.format.decode(plan.format.encode(weights)), weights)
    assert np.array_equal(plan.excess(weights, 8), np.where(weights < 0, -255 * weights, 0))
