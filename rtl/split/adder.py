"""Adders whose carries stop at the borders of parts."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.split.parts import PARTS, joins, places, sum_bits

__all__ = ["SplitAdder", "split_sum"]


def split_sum(
    m: Module,
    first: Sequence[Value],
    second: Sequence[Value],
    joined: Sequence[Value],
    name: str,
    subtract: Value = Const(0, 1),  # noqa: B008
) -> list[Value]:
    """Sums of parts, or differences where ``subtract``; combinational, one carry chain.

    Between two parts stands a guard bit that passes the carry on where the parts are joined, and
    otherwise gives the upper part the carry that it begins with: 0, or 1 to subtract.

    Parameters
    ----------
    m : Module
    first, second : sequences of Value
        Parts, the lowest first, each pair of one width.
    joined : sequence of Value
        Whether carries cross each border between two parts.
    name : str
        Of the chain's signal.
    subtract : Value
    """
    left: list[Value] = [subtract]
    right: list[Value] = [subtract]
    for place, (a, b) in enumerate(zip(first, second, strict=True)):
        if place:
            left.append(joined[place - 1] | subtract)
            right.append(~joined[place - 1] & subtract)
        left.append(a)
        right.append(b ^ subtract.replicate(len(b)))
    chain = Signal(sum(len(part) for part in left), name=name)
    m.d.comb += chain.eq(Cat(*left) + Cat(*right))
    parts, at = [], 0
    for index, part in enumerate(left):
        if index % 2:
            parts.append(chain[at : at + len(part)])
        at += len(part)
    return parts


class SplitAdder(wiring.Component):
    """``o = a + b`` or ``a - b``, part by part, modulo the width of a part's sum.

    A field is ``PARTS`` places of ``place_bits``; at 16 bits places join in pairs, at 32 all.
    Combinational. Cost: a look-up table a bit, and one a place.

    Parameters
    ----------
    place_bits : int

    Members
    -------
    width : In(2)
        Code of :class:`~rtl.split.parts.Width`.
    subtract : In(1)
    a, b : In(PARTS * place_bits)
    o : Out(PARTS * place_bits)
    """

    def __init__(self, place_bits: int) -> None:
        self.place_bits = place_bits
        bits = PARTS * place_bits
        super().__init__(
            {"width": In(2), "subtract": In(1), "a": In(bits), "b": In(bits), "o": Out(bits)}
        )

    @staticmethod
    def model(
        place_bits: int, width: int, a: np.ndarray, b: np.ndarray, subtract: bool
    ) -> np.ndarray:
        """Signed sums int64 of signed parts, modulo ``2**sum_bits(place_bits, width)``."""
        total = np.asarray(a, np.int64) - b if subtract else np.asarray(a, np.int64) + b
        bits = sum_bits(place_bits, width)
        if bits == 64:
            return total
        half = 1 << bits - 1
        return (total + half & 2 * half - 1) - half

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = self.place_bits
        first, second = (
            [field[place * bits :][:bits] for place in places(0)] for field in (self.a, self.b)
        )
        total = split_sum(m, first, second, joins(self.width), "chain", self.subtract)
        m.d.comb += self.o.eq(Cat(*total))
        return m
