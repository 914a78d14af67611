import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.split.parts import (
    PARTS,
    Width,
    choose,
    codes_of,
    extended,
    fields_of,
    joins,
    part_count,
    places,
    sum_bits,
    width_bits,
)
from tests.rtl.split.feed import feed


class Helpers(wiring.Component):
    """What the helpers make of a width and of a byte."""

    width: In(2)
    byte: In(8)
    joined: Out(3)
    chosen: Out(2)
    wider: Out(12)
    narrower: Out(5)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.joined.eq(Cat(*joins(self.width))),
            self.chosen.eq(choose(self.width, self.byte[:2], self.byte[2:4], self.byte[4:6])),
            self.wider.eq(extended(self.byte, 12)),
            self.narrower.eq(extended(self.byte, 5)),
        ]
        return m


def test_helpers_of_every_byte_and_width():
    names = ("joined", "chosen", "wider", "narrower")
    rows = [{"width": width, "byte": byte} for width in range(3) for byte in range(256)]
    found = feed(Helpers(), rows, names)
    for row, (joined, chosen, wider, narrower) in zip(rows, found, strict=True):
        width, byte = row["width"], row["byte"]
        # Parts end behind a place but where the next place belongs to them.
        ends = {place - 1 for place in places(width)} - {-1}
        assert [place for place in range(PARTS - 1) if not joined >> place & 1] == sorted(ends)
        assert chosen == byte >> 2 * width & 3
        assert wider == (byte - (byte >> 7 << 8)) & 0xFFF
        assert narrower == byte & 31


@pytest.mark.parametrize("width", Width)
def test_codes_and_fields(width):
    number = width.value
    bits, parts = width_bits(number), part_count(number)
    rng = np.random.default_rng(number)
    half = 1 << bits - 1
    codes = rng.integers(-half, half, (5, 3 * parts))
    codes[0, :2] = -half, half - 1
    fields = fields_of(codes, number)
    assert fields.shape == (5, 3) and fields.min() >= 0 and fields.max() < 1 << 32
    assert np.array_equal(codes_of(fields, number, True), codes)
    assert np.array_equal(codes_of(fields, number, False), codes % (1 << bits))
    for part in range(parts):
        assert np.array_equal(
            fields >> part * bits & (1 << bits) - 1, codes[:, part::parts] % (1 << bits)
        )


@pytest.mark.parametrize("width", range(3))
def test_parts_fill_a_field(width):
    assert width_bits(width) * part_count(width) == 32
    assert len(places(width)) == part_count(width)
    assert sum_bits(16, width) * part_count(width) == 64
    assert sum_bits(28, width) == min(28 << width, 64)
