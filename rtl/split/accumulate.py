"""The accumulator memory of machines that split: carries stop at the borders of parts."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.accumulate import Accumulator
from rtl.split.adder import split_sum
from rtl.split.parts import PARTS, joins

__all__ = ["SplitAccumulator"]


class SplitAccumulator(Accumulator):
    """:class:`~rtl.accumulate.Accumulator` of fields of sums, with a member ``width``.

    Sums wrap modulo the width of a part's sum; its model is that of the parts' accumulators.

    Members
    -------
    width : In(2)
        Code of :class:`~rtl.split.parts.Width`.
    """

    MEMBERS: ClassVar[dict[str, wiring.Member]] = {"width": In(2)}

    def total(self, m: Module, first: Value, second: Value, name: str) -> Value:
        place = self.bits // PARTS
        a, b = ([field[at * place :][:place] for at in range(PARTS)] for field in (first, second))
        return Cat(*split_sum(m, a, b, joins(self.width), name))
