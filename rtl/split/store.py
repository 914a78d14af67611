"""Packed store: codes of a run as parts of a word of narrower ones."""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.split.parts import FIELD, PARTS, Width, fields_of, part_count, width_bits

__all__ = ["STORED", "PackedStore"]

STORED = data.StructLayout(
    {"place_0": FIELD, "place_1": FIELD // 4, "place_2": FIELD // 2, "place_3": FIELD // 4}
)
"""The codes that a run makes for a field, each at its place."""


class PackedStore(wiring.Component):
    """A field, and which of its bytes are written.

    The ``parts(width)`` codes of a run go to those parts of a field of ``target`` bits that
    ``index``, modulo the number of such groups, says. Combinational.

    Members
    -------
    width, target : In(2)
        Codes of :class:`~rtl.split.parts.Width`; ``target`` no larger than ``width``.
    index : In(2)
    codes : In(STORED)
        Only the lowest bits of ``target``'s width are looked at.
    field : Out(32), mask : Out(4)
        What is not written of the field is not defined.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "width": In(2),
                "target": In(2),
                "index": In(2),
                "codes": In(STORED),
                "field": Out(FIELD),
                "mask": Out(PARTS),
            }
        )

    @staticmethod
    def model(
        width: int, target: int, index: np.ndarray, codes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fields int64 ``[..., fields]`` of codes ``[..., fields * parts(width)]``, and the bits of
        each that are written, ``[...]``; ``index`` broadcasts against the leading axes."""
        codes = np.asarray(codes, np.int64)
        parts = part_count(width)
        groups = part_count(target) // parts
        bits = parts * width_bits(target)
        leading = codes.shape[:-1]
        filled = np.zeros((*leading, codes.shape[-1] // parts, groups, parts), np.int64)
        filled[..., 0, :] = codes.reshape(*leading, -1, parts)
        fields = fields_of(filled.reshape(*leading, -1), target)
        at = np.asarray(index) % groups * bits
        return fields << at[..., None], np.int64((1 << bits) - 1) << at

    def elaborate(self, platform) -> Module:
        m = Module()
        codes = self.codes
        narrow_run, middle_run = (self.width == width.value for width in (Width.W8, Width.W16))
        byte_0, byte_2 = codes.place_0[:8], codes.place_2[:8]
        half_0, half_2 = codes.place_0[:16], codes.place_2
        with m.Switch(self.target):
            with m.Case(Width.W8.value):
                alone = Signal(PARTS)
                m.d.comb += [
                    alone.eq(1 << self.index),
                    self.field.eq(
                        Cat(
                            byte_0,
                            Mux(narrow_run, codes.place_1, Mux(middle_run, byte_2, byte_0)),
                            Mux(narrow_run, byte_2, byte_0),
                            Mux(narrow_run, codes.place_3, Mux(middle_run, byte_2, byte_0)),
                        )
                    ),
                    self.mask.eq(
                        Mux(
                            narrow_run,
                            Cat(1, 1, 1, 1),
                            Mux(
                                middle_run,
                                Cat(~self.index[0], ~self.index[0], self.index[0], self.index[0]),
                                alone,
                            ),
                        )
                    ),
                ]
            with m.Case(Width.W16.value):
                lower, upper = ~self.index[0] | middle_run, self.index[0] | middle_run
                m.d.comb += [
                    self.field.eq(Cat(half_0, Mux(middle_run, half_2, half_0))),
                    self.mask.eq(Cat(lower, lower, upper, upper)),
                ]
            with m.Default():
                m.d.comb += [self.field.eq(codes.place_0), self.mask.eq(Cat(1, 1, 1, 1))]
        return m
