import numpy as np
import pytest

from quant.weight_formats import FORMATS
from rtl.columns.plan import PLANS, lane_plan, multiple_bits


def test_every_format_has_a_plan():
    assert set(PLANS) == set(FORMATS)


@pytest.mark.parametrize("name", PLANS)
def test_sizes_are_those_of_the_format(name):
    plan = lane_plan(name)
    assert plan.sizes() == plan.format.magnitudes
    assert plan.stages in (1, 2)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_excess_is_what_complements_add(name, bits):
    """A negative product with the complement of each multiple in place of its negative."""
    plan = lane_plan(name)
    a = np.arange(1 << bits)
    for code, size in enumerate(plan.format.magnitudes):
        folded = np.zeros_like(a)
        for _, (multiple, shift) in plan.selected(code):
            top = (1 << multiple_bits(multiple, bits)) - 1
            folded += (top ^ multiple * a) << shift
        negative = np.array([code | 1 << plan.sign])
        assert np.array_equal(folded + size * a, plan.code_excess(negative, bits).repeat(len(a)))
        assert folded.max() <= sum(plan.term_largest(n, bits) for n in range(len(plan.terms)))
        assert plan.code_excess(np.array([code]), bits) == 0


@pytest.mark.parametrize("name", PLANS)
def test_excess_of_weights(name):
    plan = lane_plan(name)
    levels = plan.format.levels
    assert not plan.excess(levels, 8).any()
    expected = plan.code_excess(plan.format.encode(-levels), 8)
    assert np.array_equal(plan.excess(-levels, 8), expected)
    if plan.multiples == (1,):
        assert np.array_equal(expected, 255 * levels)


def test_expanded_codes():
    # A zero loses its sign.
    assert lane_plan("w4r").expand(np.array([7, 15, 13])).tolist() == [7, 7, 13]
    # The bit on top is the conjunction of the magnitude's bits.
    assert lane_plan("w4").expand(np.array([6, 14, 7, 15])).tolist() == [6, 14, 7 | 16, 7 | 16]


@pytest.mark.parametrize("name", PLANS)
def test_stages_look_at_all_bits(name):
    plan = lane_plan(name)
    seen = {bit for stage in range(plan.stages) for bit in plan.stage_bits(stage)}
    assert seen == set(range(plan.lane_bits))


def test_unknown_plan():
    with pytest.raises(KeyError):
        lane_plan("w5")
