import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.split.column import SplitColumn
from rtl.split.multiply import activation_operands, weight_operands
from rtl.split.parts import PARTS, fields_of, part_count, sum_bits, width_bits
from tests.rtl.split.feed import feed

LANES = 4
PLACE_BITS = SplitColumn.least_place_bits(LANES)


class Column(wiring.Component):
    """A column of codes and fields as they stand in memory."""

    def __init__(self, lanes: int, place_bits: int) -> None:
        self.lanes = lanes
        self.place_bits = place_bits
        super().__init__(
            {
                "width": In(2),
                "fields": In(data.ArrayLayout(32, lanes)),
                "load": In(1),
                "switch": In(1),
                "codes": In(data.ArrayLayout(signed(32), lanes)),
                "o": Out(PARTS * place_bits),
                "third": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.column = column = SplitColumn(self.lanes, self.place_bits)
        m.d.comb += [
            column.width.eq(self.width),
            column.load.eq(self.load),
            column.switch.eq(self.switch),
            self.o.eq(column.o),
            self.third.eq(column.loaded[0].third),
        ]
        for lane in range(self.lanes):
            weights = weight_operands(self.fields[lane], self.width)
            operands = activation_operands(self.codes[lane], self.width)
            m.d.comb += [column.word[lane][name].eq(value) for name, value in weights.items()]
            m.d.comb += [column.operands[lane][name].eq(value) for name, value in operands.items()]
        return m


def parts_of(field, width, place_bits):
    """Signed parts of a field of sums."""
    unit, bits = place_bits << width, min(sum_bits(place_bits, width), PARTS * place_bits)
    parts = [field >> unit * p & (1 << bits) - 1 for p in range(part_count(width))]
    return [part - (part >> bits - 1 << bits) for part in parts]


def random_tile(width, rng, vectors, extreme):
    """Fields of weights and vectors of codes, borders among them; all least where ``extreme``."""
    bits, parts = width_bits(width), part_count(width)
    half = 1 << bits - 1
    high = half if width == 2 else 2 * half
    weights = rng.integers(-half, half, (LANES, parts))
    borders = [-half, -1, 0, 1, half - 1, high - 1]
    codes = np.where(
        rng.integers(0, 2, (vectors, LANES)),
        rng.choice(borders, (vectors, LANES)),
        rng.integers(-half, high, (vectors, LANES)),
    )
    if extreme:
        weights[...] = -half
        codes[: vectors // 2], codes[vectors // 2 :] = -half, high - 1
    return fields_of(weights, width)[:, 0], codes


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("place_bits", [PLACE_BITS, 28])
@pytest.mark.parametrize("width", range(3))
def test_sums_of_tiles_that_follow_each_other(width, place_bits, extreme):
    """The next tile is loaded while vectors of this one pass; the last ``switch`` comes with it."""
    rng = np.random.default_rng(width)
    tiles = [random_tile(width, rng, 40, extreme) for _ in range(3)]
    rows = [{"width": width, "load": 1, "fields": tiles[0][0].tolist()}]
    rows.append({"load": 0, "switch": 1})
    starts = []
    for number, (_, codes) in enumerate(tiles):
        starts.append(len(rows))
        following = tiles[number + 1][0].tolist() if number + 1 < len(tiles) else None
        for vector, code in enumerate(codes.tolist()):
            row = {"switch": int(following is not None and vector == len(codes) - 1)}
            row |= {"load": int(following is not None and vector == 3), "codes": code}
            rows.append(row | ({"fields": following} if following else {}))
    latency = SplitColumn.column_latency(LANES)
    found = feed(Column(LANES, place_bits), rows, ["o"], latency)
    mask = (1 << min(sum_bits(place_bits, width), PARTS * place_bits)) - 1
    for start, (fields, codes) in zip(starts, tiles, strict=True):
        exact = SplitColumn.model(width, fields, codes)
        for (field,), expected in zip(found[start:], exact.tolist()):
            parts = parts_of(field, width, place_bits)
            assert [part & mask for part in parts] == [part & mask for part in expected]
        # Sums of 8 and 16 bits fit; those of 32 count modulo 2**64.
        if width < 2:
            largest = np.abs(exact).max()
            assert largest < 1 << sum_bits(place_bits, width) - 1


def test_words_are_handed_on():
    """A loaded word is seen by the next column, which loads it with the next."""
    rows = [{"width": 1, "load": 1, "fields": [n << 16] * LANES} for n in range(1, 5)]
    rows.append({"load": 0})
    thirds = [third for (third,) in feed(Column(LANES, 28), rows, ["third"])]
    assert thirds == [0, 1, 2, 3, 4]


def test_conversion():
    column = SplitColumn(2, 28)
    assert column.latency == SplitColumn.column_latency(2)
    rtlil.convert(column)
