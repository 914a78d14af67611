"""Packed load: codes of one width as operands of another, and what no conversion has to do."""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.split.parts import FIELD, Width, choose, codes_of, extended, part_count

__all__ = ["CODES", "PackedLoad"]

CODES = data.StructLayout(
    {
        "place_0": signed(FIELD),
        "place_1": signed(FIELD // 4 + 1),
        "place_2": signed(FIELD // 2 + 1),
        "place_3": signed(FIELD // 4 + 1),
    }
)
"""The codes of a field, each at its place, as wide as the widest that comes there.

Codes below 32 bits have room for a sign that unsigned ones do not use; those of 32 are below 2**31.
"""


class PackedLoad(wiring.Component):
    """The parts that a run of ``width`` takes of a field of codes of ``source`` bits, extended.

    A run takes ``parts(width)`` neighbouring codes of the ``parts(source)`` that a field holds:
    those of ``index`` modulo the number of such groups. Combinational. Cost: a choice of seven for
    place 0, of four for place 2.

    Members
    -------
    width, source : In(2)
        Codes of :class:`~rtl.split.parts.Width`; ``source`` no larger than ``width``.
    index : In(2)
    signed : In(1)
        Codes are two's complement.
    field : In(32)
    codes : Out(CODES)
        Places between those of a wider run are not defined.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "width": In(2),
                "source": In(2),
                "index": In(2),
                "signed": In(1),
                "field": In(FIELD),
                "codes": Out(CODES),
            }
        )

    @staticmethod
    def model(
        width: int, source: int, index: np.ndarray, signed: bool, fields: np.ndarray
    ) -> np.ndarray:
        """Signed codes int64 ``[..., fields * parts(width)]`` of fields ``[..., fields]``.

        ``index`` broadcasts against the leading axes.
        """
        fields = np.asarray(fields, np.int64)
        parts = part_count(width)
        groups = part_count(source) // parts
        codes = codes_of(fields, source, signed)
        codes = codes.reshape(*fields.shape, groups, parts)
        index = np.asarray(index)[..., None, None, None] % groups
        chosen = np.take_along_axis(codes, np.broadcast_to(index, (*codes.shape[:-2], 1, 1)), -2)
        return chosen.reshape(*fields.shape[:-1], -1)

    def elaborate(self, platform) -> Module:
        m = Module()
        narrow_run, whole_run = self.width == Width.W8.value, self.width[1]
        index = Signal(2)
        m.d.comb += index.eq(Mux(narrow_run, 0, self.index))

        def code(bits: int, place: Value) -> Value:
            """A code of ``bits`` at a place, with a bit for its sign."""
            part = self.field.word_select(place, bits)
            return Cat(part, part[-1] & self.signed)

        low, bytes_low = Signal(1), Signal(2)
        m.d.comb += [
            # At 16 bits byte 2 * index comes first, at 32 byte index; at 8 index is 0.
            bytes_low.eq(Mux(whole_run, index, index << 1)),
            low.eq(index[0] & whole_run),
        ]
        byte, half = code(8, bytes_low), code(16, low)
        first = choose(self.source, extended(byte, FIELD), extended(half, FIELD), self.field)
        byte_2 = code(8, Mux(narrow_run, 2, Cat(1, index[0])))
        wide = self.source != Width.W8.value
        third = Mux(wide, code(16, Cat(1)), extended(byte_2, FIELD // 2 + 1))
        m.d.comb += [
            self.codes.place_0.eq(first),
            self.codes.place_1.eq(code(8, Cat(1))),
            self.codes.place_2.eq(third),
            self.codes.place_3.eq(code(8, Cat(1, 1))),
        ]
        return m
