"""Requantization of a field of sums: bias, residual, shift, rounding, saturation of its parts."""

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from quant.numbers import requantize
from quant.stochastic import NOISE_BITS, requantize_stochastic
from rtl.post_lane import PostLane
from rtl.split.load import CODES
from rtl.split.parts import FIELD, PARTS, choose, extended
from rtl.split.store import STORED

__all__ = [
    "SHIFT_BITS",
    "SplitRequantize",
    "block_parameters",
    "field_parameters",
    "total_bits",
]

SHIFT_BITS = 6

CODE_BITS = (FIELD, FIELD // 4, FIELD // 2, FIELD // 4)
"""The widest code that each place makes."""

_NARROW_BITS = 32
"""Bits of a sum of 8-bit codes with its bias and residual: more than an accumulator has."""

_PREPARING = 4
"""Stages before those of :class:`~rtl.post_lane.PostLane`."""


def field_parameters(place_bits: int) -> data.StructLayout:
    """Parameters of a field: biases as a field of sums, and the shift of the code at each place."""
    shifts = data.ArrayLayout(SHIFT_BITS, PARTS)
    return data.StructLayout({"bias": PARTS * place_bits, "shift": shifts})


def block_parameters(place_bits: int, lanes: int) -> data.StructLayout:
    """Parameters of a block of ``lanes`` fields; ``key`` is the noise's of its first channel."""
    fields = data.ArrayLayout(field_parameters(place_bits), lanes)
    return data.StructLayout({"fields": fields, "key": NOISE_BITS})


def total_bits(place_bits: int, width: int) -> int:
    """Bits, signed, of a sum with its bias and residual.

    >>> [total_bits(28, width) for width in range(3)]
    [32, 56, 63]
    """
    return (_NARROW_BITS, 2 * place_bits, 63)[width]


class SplitRequantize(wiring.Component):
    """``code = saturate(round((sum + bias + (residual << shift - offset)) / 2**shift))`` of parts.

    Rounded half to even, or, where ``stochastic``, ``(t + r) >> shift`` with ``r`` the highest
    ``shift`` bits of the part's noise. Place 0 serves codes of all widths, place 2 of 16 and 8
    bits, 1 and 3 of 8: each is a lane as wide as its widest code needs. What is added up must fit
    :func:`total_bits`.

    Latency 12, throughput 1; fixed rate: neither provides nor respects back-pressure.

    Parameters
    ----------
    place_bits : int

    Members
    -------
    width : In(2)
    sums : In(PARTS * place_bits)
    parameters : In(field_parameters)
    residual : In(CODES)
        0 for none.
    noise : In(ArrayLayout(32, PARTS))
        :data:`~rtl.split.noise.Noise.latency` cycles after the sums.
    offset : In(signed(7)), stochastic : In(1), low, high : In(signed(33))
        Stable while sums are under way.
    codes : Out(STORED)
    """

    latency = _PREPARING + PostLane.latency

    def __init__(self, place_bits: int) -> None:
        self.place_bits = place_bits
        super().__init__(
            {
                "width": In(2),
                "sums": In(PARTS * place_bits),
                "parameters": In(field_parameters(place_bits)),
                "residual": In(CODES),
                "noise": In(data.ArrayLayout(NOISE_BITS, PARTS)),
                "offset": In(signed(7)),
                "stochastic": In(1),
                "low": In(signed(FIELD + 1)),
                "high": In(signed(FIELD + 1)),
                "codes": Out(STORED),
            }
        )

    @staticmethod
    def model(
        total: np.ndarray,
        residual: np.ndarray,
        shift: np.ndarray,
        noise: np.ndarray | None,
        offset: int,
        low: int,
        high: int,
    ) -> np.ndarray:
        """Signed or unsigned codes int64 of sums with their biases; all broadcast.

        ``noise`` is None for rounding to even.
        """
        total = np.asarray(total, np.int64)
        left = np.asarray(shift, np.int64) - offset
        total = total + np.where(residual == 0, 0, np.asarray(residual, np.int64) << left)
        if noise is None:
            return requantize(total, shift, low, high)
        return requantize_stochastic(total, shift, low, high, noise)

    def elaborate(self, platform) -> Module:
        m = Module()
        for place in range(PARTS):
            self.lane(m, place)
        return m

    def lane(self, m: Module, place: int) -> None:
        """The lane of a place."""
        place_bits, name = self.place_bits, f"place_{place}"
        # A bit more than the sum, for what rounding adds.
        bits = {0: 64, 2: 2 * place_bits + 1}.get(place, _NARROW_BITS + 1)
        shift_bits = SHIFT_BITS if place % 2 == 0 else SHIFT_BITS - 1

        def register(shape, what: str) -> Signal:
            return Signal(shape, name=f"{what}_{place}", reset_less=True)

        # 1: sum and bias; how far the residual is shifted.
        sums, bias = (
            self.of_place(field, place, bits) for field in (self.sums, self.parameters.bias)
        )
        shift_at = self.parameters.shift[place][:shift_bits]
        total = [register(signed(bits), f"total_{i}") for i in range(1, 5)]
        shift = [register(shift_bits, f"shift_{i}") for i in range(1, 5)]
        left = [register(SHIFT_BITS, f"left_{i}") for i in (1, 2)]
        residual = [register(signed(bits), f"residual_{i}") for i in (1, 2, 3)]
        m.d.sync += [
            total[0].eq(sums.as_signed() + bias.as_signed()),
            shift[0].eq(shift_at),
            left[0].eq(shift_at - self.offset),
            residual[0].eq(self.residual[name]),
        ]
        # 2 and 3: the residual and, of the last cycle, the noise are shifted by eights, then ones.
        noise = register(bits, "noise")
        m.d.sync += [
            total[1].eq(total[0]),
            shift[1].eq(shift[0]),
            left[1].eq(left[0]),
            residual[1].eq(residual[0] << (left[0][3:] << 3)),
            total[2].eq(total[1]),
            shift[2].eq(shift[1]),
            residual[2].eq(residual[1] << left[1][:3]),
        ]
        # 4: all but the noise, of which the integer part has as many bits as the shift.
        wide = register(bits + NOISE_BITS, "wide")
        m.d.sync += [
            wide.eq(Mux(self.stochastic, self.noise[place], 0) << (shift[1][3:] << 3)),
            noise.eq((wide << shift[2][:3]) >> NOISE_BITS),
            total[3].eq(total[2] + residual[2]),
            shift[3].eq(shift[2]),
        ]
        lane = PostLane(bits, CODE_BITS[place], shift_bits=shift_bits, truncates=True)
        m.submodules[f"lane_{place}"] = lane
        code_bits = CODE_BITS[place] + 1
        m.d.comb += [
            lane.sum.eq(total[3]),
            lane.bias.eq(noise),
            lane.shift.eq(shift[3]),
            lane.truncate.eq(self.stochastic),
            lane.low.eq(self.low[:code_bits].as_signed()),
            lane.high.eq(self.high[:code_bits].as_signed()),
            self.codes[name].eq(lane.code),
        ]

    def of_place(self, field: Value, place: int, bits: int) -> Value:
        """The part that begins at a place, extended; of narrower ones where there is none."""
        unit = self.place_bits
        narrow = extended(field[place * unit :][:unit], bits)
        middle = extended(field[place * unit :][: 2 * unit], bits)
        if place == 0:
            return choose(self.width, narrow, middle, field[:64])
        return Mux(self.width[0], middle, narrow) if place == 2 else narrow
