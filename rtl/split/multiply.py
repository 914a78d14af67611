"""Multiplication of one code by the weights of a field, in three multipliers."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.split.parts import Width, extended

__all__ = [
    "LOW",
    "OPERANDS",
    "WEIGHTS",
    "Multiplier",
    "activation_operands",
    "weight_operands",
]

LOW = 16
"""Bits of a product of 8-bit codes, the activation with or without a sign."""

SHORT = 17
"""Bits of a 16-bit activation with or without a sign."""

WEIGHTS = data.StructLayout({"pair": signed(25), "third": signed(16), "fourth": signed(18)})
"""Left operands of the multipliers."""

OPERANDS = data.StructLayout({"first": signed(17), "second": signed(17), "third": signed(18)})
"""Right operands of the multipliers, of an activation."""


class Products(NamedTuple):
    """Shapes of the multipliers' products."""

    pair: int = 25 + 17
    third: int = 16 + 17
    fourth: int = 18 + 18


def weight_operands(field: Value, width: Value) -> dict[str, Value]:
    """What the multipliers take of a field of weights.

    * 8 bits: weights 0 and 1 in one word, ``w0 + (w1 << LOW)``; 2; 3.
    * 16 bits: weight 0; 1.
    * 32 bits: the lower half, without a sign; the upper half; their sum.
    """
    w0, w1, w3 = field[:8], field[8:16], field[24:]
    # A negative w0 borrows from w1.
    borrowed = w1.as_signed() - w0[-1]
    pair = Cat(extended(w0, LOW), extended(borrowed, 9))
    narrow, whole = width == Width.W8.value, width[1]
    halves = field[16:].as_signed() + field[:16]
    lower = Cat(field[:16], (field[15] & ~whole).replicate(9))
    return {
        "pair": Mux(narrow, pair, lower),
        "third": Mux(narrow, extended(field[16:24], 16), field[16:]),
        "fourth": Mux(narrow, extended(w3, 18), halves[:18]),
    }


def activation_operands(code: Value, width: Value) -> dict[str, Value]:
    """What the multipliers take of an activation, a signed code of 32 bits.

    At 32 bits its lower half, without a sign, its upper half and their sum, else the code.
    """
    whole = width[1]
    upper = code[16:].as_signed()
    halves = upper + code[:16]
    short = code[:SHORT]
    return {
        "first": Cat(code[:16], code[16] & ~whole),
        "second": Mux(whole, extended(upper, SHORT), short),
        "third": Mux(whole, halves[:18], extended(short, 18)),
    }


class Multiplier(wiring.Component):
    """Whole products of an activation and a field of weights, as four terms.

    =====  ==================  =====================  ==================  ==================
    width  ``low``             ``high``               ``third``           ``fourth``
    =====  ==================  =====================  ==================  ==================
    8      ``a * w0``          ``a * w1``             ``a * w2``          ``a * w3``
    16     ``a * w0``, lower   ``a * w0``, upper      ``a * w1``          undefined
    32     ``al * wl``, lower  ``al * wl``, upper     ``ah * wh``         ``(ah+al) * (wh+wl)``
    =====  ==================  =====================  ==================  ==================

    At 32 bits ``a * w = ah*wh << 32 + (fourth - third - first) << 16 + al*wl`` with
    ``a = ah << 16 + al`` (Karatsuba and Ofman, 1962); the terms are linear, so they are combined
    behind the sum over all inputs. ``low`` and ``high`` have ``place`` bits each and are one value
    but at 8 bits, where each is signed.

    Latency 2, throughput 1; fixed rate. Cost: three DSP48 and the addition that takes the borrow
    of two packed products back.

    Parameters
    ----------
    place : int
        Bits of ``low`` and of ``high``, 17 or more: 32-bit terms have no sign.

    Members
    -------
    width : In(2)
    weights : In(WEIGHTS), operands : In(OPERANDS)
    low, high : Out(place)
    third : Out(signed(33)), fourth : Out(signed(36))

    Source: PAPERS C (processing elements of three widths); the three multipliers are ours.
    """

    latency = 2

    def __init__(self, place: int) -> None:
        self.place = place
        products = Products()
        super().__init__(
            {
                "width": In(2),
                "weights": In(WEIGHTS),
                "operands": In(OPERANDS),
                "low": Out(place),
                "high": Out(place),
                "third": Out(signed(products.third)),
                "fourth": Out(signed(products.fourth)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        products = Products()
        # 1: the products.
        pair = Signal(signed(products.pair), reset_less=True)
        third = Signal(signed(products.third), reset_less=True)
        fourth = Signal(signed(products.fourth), reset_less=True)
        m.d.sync += [
            pair.eq(self.weights.pair * self.operands.first),
            third.eq(self.weights.third * self.operands.second),
            fourth.eq(self.weights.fourth * self.operands.third),
        ]
        # 2: two packed products come apart; a negative lower one has borrowed from the upper.
        narrow = self.width == Width.W8.value
        upper = Signal(signed(LOW + 1))
        m.d.comb += upper.eq(pair[LOW : 2 * LOW].as_signed() + pair[LOW - 1])
        parts = Cat(extended(pair[:LOW], self.place), extended(upper[:LOW], self.place))
        m.d.sync += [
            Cat(self.low, self.high).eq(Mux(narrow, parts, extended(pair, 2 * self.place))),
            self.third.eq(third),
            self.fourth.eq(fourth),
        ]
        return m
