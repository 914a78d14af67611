"""Bias, residual, rounding and saturation of one channel's sums."""

from itertools import pairwise

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from quant.numbers import requantize, to_log
from rtl.arithmetic import saturated
from rtl.isa import SHIFT

__all__ = ["PostLane"]

MIDDLE, FINE = slice(1, 3), 0
"""Bits of a shift that the last two of three stages of the shifter take; the first has the rest."""


class PostLane(wiring.Component):
    """``code = saturate(round_half_even((t / 2**shift + r * 2**residual_left) / 2**right))``.

    ``t = sum + bias`` modulo ``2**bits``, ``r`` is the residual. What ``t / 2**shift`` loses is
    kept as one bit of one half and one that says whether anything lies below it, so the rounding
    is that of the exact value. A quotient of ``2**(code_bits + 4)`` or more is too large for any
    residual to bring back: only its sign goes on, and it saturates. So no stage behind the shifter
    is wider than ``code_bits + 7``.

    Where the lane is built for it and ``as_log`` is set, the code is ``to_log`` of that
    (:func:`quant.numbers.to_log`).

    Latency 8, throughput 1; fixed rate: neither provides nor respects back-pressure. Cost: an
    adder of ``bits``, two narrower ones, two comparisons, and choices of four, four and two shifts.

    Parameters
    ----------
    bits, code_bits : int
        Width of an accumulator and of a code.
    logarithmic : bool
        Whether the lane can make logarithmic codes.
    shift_bits : int
        Width of a shift.
    truncates : bool
        Whether the lane can round down, for what has been rounded by noise.

    Members
    -------
    sum, bias : In(signed(bits))
    shift : In(shift_bits)
    residual : In(signed(code_bits + 1))
        A code, signed or not; 0 for none.
    residual_left, right, low, high : In(2), In(2), In(signed(code_bits + 1)), likewise
        Stable while a sum is under way. ``low`` and ``high`` are codes, signed or not.
    truncate : In(1)
        Round down instead of to the nearest; looked at by a lane that truncates.
    code : Out(code_bits)
    """

    latency = 8

    def __init__(
        self,
        bits: int,
        code_bits: int,
        logarithmic: bool = False,
        shift_bits: int = SHIFT.width,
        truncates: bool = False,
    ) -> None:
        self.bits = bits
        self.code_bits = code_bits
        self.logarithmic = logarithmic
        self.shift_bits = shift_bits
        self.truncates = truncates
        super().__init__(
            {
                "sum": In(signed(bits)),
                "bias": In(signed(bits)),
                "shift": In(shift_bits),
                "residual": In(signed(code_bits + 1)),
                "residual_left": In(2),
                "right": In(2),
                "low": In(signed(code_bits + 1)),
                "high": In(signed(code_bits + 1)),
                "as_log": In(1),
                **({"truncate": In(1)} if truncates else {}),
                "code": Out(code_bits),
            }
        )

    @staticmethod
    def model(
        bits: int,
        code_bits: int,
        total: np.ndarray,
        residual: np.ndarray,
        bias: np.ndarray,
        shift: np.ndarray,
        residual_left: int,
        right: int,
        low: int,
        high: int,
        as_log: int = 0,
    ) -> np.ndarray:
        """Unsigned codes; negative ones in two's complement of ``code_bits``. All broadcast."""
        half = 1 << bits - 1
        t = np.asarray(total, np.int64) + bias
        wrapped = ((t + half) & ((1 << bits) - 1)) - half
        whole = wrapped + (np.asarray(residual, np.int64) << residual_left + shift)
        codes = requantize(whole, shift + right, low, high)
        return to_log(codes) if as_log else codes & ((1 << code_bits) - 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        # A quotient of this many bits, one of them one half, is too large for any residual: with
        # code_bits + 4 bits of magnitude, less 3 bits of residual_left or of right, it saturates.
        near = self.code_bits + 6

        def register(shape, name: str) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        # 1: the sum with its bias. Of the operands that which may be a choice comes last, so that
        # the adder's own look-up tables make it.
        total = register(signed(self.bits), "total")
        # A stage keeps the bits of the shift that it and those behind it take.
        shift = [
            register(width, f"shift_{i}") for i, width in enumerate((self.shift_bits, 3, 1), 1)
        ]
        m.d.sync += [
            total.eq(self.bias + self.sum),
            shift[0].eq(self.shift),
            shift[1].eq(shift[0]),
            shift[2].eq(shift[1]),
        ]
        # 2 and 3: shifted by multiples of 8, then of 2, the bit of one half kept below the point.
        coarse = Shifted(m, "coarse", Cat(Const(0, 1), total), shift[0][3:], 8, near + 7)
        middle = Shifted(m, "middle", coarse.value, shift[1][MIDDLE], 2, near + 1)
        # 4: the last bit of the shift, again in the adder, and the residual.
        aligned = [register(signed(self.code_bits + 4), f"aligned_{i}") for i in (1, 2, 3)]
        m.d.sync += [
            aligned[0].eq(self.residual << self.residual_left),
            aligned[1].eq(aligned[0]),
            aligned[2].eq(aligned[1]),
        ]
        fine = Signal(signed(near))
        m.d.comb += fine.eq(Mux(shift[2][FINE], middle.value[1:], middle.value[:near]).as_signed())
        both = register(signed(near + 1), "both")
        negative = [register(1, f"negative_{i}") for i in range(5)]
        m.d.sync += [
            both.eq(Cat(Const(0, 1), aligned[2]).as_signed() + fine),
            negative[0].eq(total[-1]),
            *(following.eq(bit) for bit, following in pairwise(negative)),
        ]
        far = [register(1, f"far_{i}") for i in range(4)]
        rest = [register(1, f"rest_{i}") for i in range(3)]
        top = middle.value[-1]
        m.d.sync += [
            far[0].eq(coarse.far),
            far[1].eq(far[0] | middle.far | (~shift[2][FINE] & (middle.value[near - 1] != top))),
            rest[0].eq(coarse.rest),
            rest[1].eq(rest[0] | middle.rest | (shift[2][FINE] & middle.value[0])),
        ]
        # 5: shifted right; the floor, the bit below it, and whether anything lies below that.
        floor = register(signed(near), "floor")
        half = register(1, "half")
        shifted = Signal(signed(near + 1))
        dropped = Signal()
        m.d.comb += shifted.eq(both >> self.right)
        for right in range(1, 4):
            with m.If(self.right == right):
                m.d.comb += dropped.eq(both[:right].any())
        m.d.sync += [
            floor.eq(shifted >> 1),
            half.eq(shifted[0]),
            rest[2].eq(rest[1] | dropped),
            far[2].eq(far[1]),
        ]
        # 6: to the nearest, ties to even.
        rounded = register(signed(near), "rounded")
        up = half & (rest[2] | floor[0])
        if self.truncates:
            up = up & ~self.truncate
        m.d.sync += [rounded.eq(floor + up), far[3].eq(far[2])]
        # 7: saturated.
        linear = register(self.code_bits, "linear")
        m.d.sync += linear.eq(
            Mux(
                far[3],
                Mux(negative[4], self.low, self.high)[: self.code_bits],
                saturated(rounded, self.low, self.high, self.code_bits),
            )
        )
        # 8: to the memories far away, as the nearest logarithmic code where that is asked for.
        m.d.sync += self.code.eq(linear)
        if self.logarithmic:
            with m.If(self.as_log):
                m.d.sync += self.code.eq(nearest_log(m, linear))
        return m


def nearest_log(m: Module, code: Signal) -> Signal:
    """The leading one and the bit below it, rounded by the bit below that; combinational."""
    log = Signal(len(code))
    padded = Cat(Const(0, 2), code)
    for place in range(len(code)):
        second, first = padded[place], padded[place + 1]
        half = (1 << place) >> 1
        # The highest one decides, which is assigned last.
        with m.If(code[place]):
            m.d.comb += log.eq(
                Mux(
                    first & second, 2 << place, Mux(first | second, (1 << place) | half, 1 << place)
                )
            )
    return log


class Shifted:
    """A register stage that shifts right by ``amount * step``: two bits of a shift.

    ``value`` is the quotient in ``bits``, signed; ``far``, whether it does not fit. ``rest``, which
    a stage behind takes, is whether a dropped bit, not the lowest one kept, was set: made of a
    register for every ``step`` bits, because one of all bits would be too deep.
    """

    def __init__(
        self, m: Module, name: str, value: Value, amount: Value, step: int, bits: int
    ) -> None:
        value = value.as_signed()
        self.value = Signal(signed(bits), name=name, reset_less=True)
        self.far = Signal(name=f"{name}_far", reset_less=True)
        dropped = Signal((1 << len(amount)) - 1, name=f"{name}_dropped", reset_less=True)
        self.rest = dropped.any()
        with m.Switch(amount):
            for i in range(1 << len(amount)):
                with m.Case(i):
                    quotient = value >> min(i * step, len(value) - 1)
                    m.d.sync += [
                        self.value.eq(quotient),
                        self.far.eq(quotient != quotient[:bits].as_signed()),
                    ]
        m.d.sync += dropped.eq(
            Cat(value[i * step : (i + 1) * step].any() & (amount > i) for i in range(len(dropped)))
        )
