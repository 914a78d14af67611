"""Weights of n bits for shifting processing elements: ``0, ±1, ±2 .. ±2**(r - 1)``.

``r = 2**(n - 1) - 1`` powers of two a sign, as Chen et al. (TNNLS 2021, PAPERS D) have them; with
n = 1, which leaves no power, weights are ±1 and never 0.
"""

from quant.weight_formats import WeightFormat
from rtl.columns.plan import Choice, LanePlan, Selector, Term

__all__ = ["SHIFT_PLANS", "WIDTHS"]

WIDTHS = (1, 2, 3, 4, 5)
"""Bits of a weight, sign included."""

_ONE, _TWO, _FOUR = (Choice(1, shift) for shift in range(3))


def _powers(bits: int) -> LanePlan:
    """Powers and, as the highest code, zero: a doubling, then an even shift.

    Zero is told by the lane code's top bit.
    """
    magnitudes = (*(1 << k for k in range((1 << bits - 1) - 1)), 0)
    shifts = tuple(range(0, len(magnitudes), 2))
    places = tuple(range(bits - 1))
    term = Term(Selector((0,), (_ONE, _TWO)), Selector(places[1:], shifts))
    return LanePlan(WeightFormat(f"n{bits}", magnitudes), (term,), joint=places, clears=True)


SHIFT_PLANS: dict[int, LanePlan] = {
    1: LanePlan(WeightFormat("n1", (1,)), (Term(Selector((), (_ONE,))),)),
    2: LanePlan(WeightFormat("n2", (0, 1)), (Term(Selector((0,), (None, _ONE))),)),
    3: LanePlan(
        WeightFormat("n3", (0, 1, 2, 4)), (Term(Selector((0, 1), (None, _ONE, _TWO, _FOUR))),)
    ),
    4: _powers(4),
    5: _powers(5),
}
"""The plan of each width, see :mod:`rtl.columns.plan`."""
