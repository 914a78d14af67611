import itertools

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from boards.netlist import prove
from rtl.columns import generic, xc7
from rtl.columns.selection import Select, Source
from rtl.verilog import to_verilog


class Adder(wiring.Component):
    """A registered sum of three values with left shifts."""

    def __init__(self, cells, widths, shifts):
        self.cells, self.widths, self.shifts = cells, widths, shifts
        largest = sum((1 << w) - 1 << s for w, s in zip(widths, shifts))
        values = {f"i{n}": In(width) for n, width in enumerate(widths)}
        super().__init__(values | {"o": Out(largest.bit_length())})

    def elaborate(self, platform):
        m = Module()
        values = [(getattr(self, f"i{n}"), shift) for n, shift in enumerate(self.shifts)]
        m.d.sync += self.o.eq(self.cells.adder(m, values, len(self.o), "sum"))
        return m


@pytest.mark.parametrize(
    "widths, shifts",
    [
        ((13, 13, 13), (0, 0, 0)),
        ((4, 4, 4), (0, 0, 0)),
        ((1, 1, 1), (0, 0, 0)),
        ((3, 9, 5), (0, 0, 0)),
        ((6, 4, 4), (0, 2, 2)),
        ((4, 4, 4), (0, 4, 8)),
        ((10, 10), (0, 0)),
    ],
)
def test_adder(widths, shifts):
    """Proof for all operands; the sum is never cut off."""
    plain = Adder(generic, widths, shifts)
    primitive = to_verilog(Adder(xc7, widths, shifts), "top")
    proof = prove(plain, primitive)
    assert proof.equal, proof.unproven
    assert proof.points == len(plain.o)
    assert ("CARRY4" in primitive) == (len(widths) == 3)


class Selection(wiring.Component):
    def __init__(self, cells, selector, word, index):
        self.cells, self.selector = cells, selector
        super().__init__(
            {
                "word": In(word),
                "index": In(index),
                "negative": In(1),
                "o": Out(data.ArrayLayout(1, selector.width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        negative = self.negative if self.selector.folds else None
        index = [self.index[n] for n in range(len(self.index))]
        value = self.cells.select(m, "lane", self.selector, self.word, index, negative)
        m.d.sync += self.o.as_value().eq(value)
        return m


WORD = tuple(range(6))


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize(
    "sources",
    [
        (Source(WORD, 0), Source(WORD, 1)),
        (Source(WORD, 0), Source(WORD, 2), Source(WORD, 4), None),
        # More than six inputs a bit.
        tuple(Source(WORD[n:] + WORD[:n], n) for n in range(4)),
        (Source(WORD, 2), Source((0, 3), 3)),
    ],
)
def test_select(sources, folds):
    selector = Select(9, sources, folds)
    index = (len(sources) - 1).bit_length()
    plain = Selection(generic, selector, 6, index)
    primitive = to_verilog(Selection(xc7, selector, 6, index), "top")
    proof = prove(plain, primitive)
    assert proof.equal, proof.unproven


def count(selector):
    return len(xc7.cells(selector))


def test_tables_of_a_lane():
    """The pairings of the study: 5 tables for the first stage of 8 bits, then 7 (w4r), 9 (w4)."""
    byte, wide = tuple(range(8)), tuple(range(9))
    assert count(Select(9, (Source(byte, 0), Source(byte, 1)), True)) == 5
    shifts = [Source(wide, shift) for shift in (0, 2, 4)]
    assert count(Select(13, (*shifts, None), False)) == 7
    assert count(Select(15, (*shifts, Source(wide, 6)), False)) == 9


def fewest(supports):
    """Groups at least, by trying all matchings."""
    count = len(supports)
    pairs = [
        pair
        for pair in itertools.combinations(range(count), 2)
        if len(supports[pair[0]] | supports[pair[1]]) <= 5
    ]
    return min(
        count - size
        for size in range(count // 2 + 1)
        for chosen in itertools.combinations(pairs, size)
        if len(set().union(*chosen)) == 2 * size
    )


@pytest.mark.parametrize(
    "texts", [("ab", "bcde", "fg", "cdefg"), ("abcde", "fghij"), ("abc", "cde", "efg", "ga", "b")]
)
def test_pairing_is_the_fewest(texts):
    supports = tuple(frozenset(text) for text in texts)
    groups = xc7.pairing(supports)
    assert sorted(itertools.chain(*groups)) == list(range(len(texts)))
    assert len(groups) == fewest(supports)
    assert all(len(frozenset().union(*(supports[n] for n in g))) <= 5 for g in groups if len(g) > 1)
