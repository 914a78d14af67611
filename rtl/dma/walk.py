"""Walks the words of transfers in the machine's memories."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.transfer import ADDRESS, COUNT, STRIDE

__all__ = ["WordWalker", "block_layout", "word_layout", "words_of"]


def block_layout() -> data.StructLayout:
    """Rows of words of a region."""
    return data.StructLayout(
        {
            "region": 3,
            "address": ADDRESS,
            "words": COUNT,
            "rows": COUNT,
            "address_stride": STRIDE,
        }
    )


def word_layout() -> data.StructLayout:
    """Place of a word; ``last`` of its transfer."""
    return data.StructLayout({"region": 3, "address": ADDRESS, "last": 1})


def words_of(address: int, words: int, rows: int, address_stride: int) -> list[int]:
    """Addresses of the words of a block, in order.

    >>> words_of(address=3, words=2, rows=2, address_stride=10)
    [3, 4, 13, 14]
    """
    return [address + r * address_stride + n for r in range(rows) for n in range(words)]


class WordWalker(wiring.Component):
    """Gives the places of a block's words in order.

    Latency 1, throughput 1, also from block to block but for one cycle, back-pressure yes.

    Members
    -------
    i : In(stream of block_layout)
    o : Out(stream of word_layout)
    """

    latency = 1

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(block_layout())),
                "o": Out(stream.Signature(word_layout())),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        block, word = self.i.p, self.o.p
        next_row = Signal(ADDRESS, reset_less=True)
        stride = Signal(STRIDE, reset_less=True)
        # Words of a row, words left of this one, rows left: minus one each.
        row_more = Signal(COUNT, reset_less=True)
        more, rows_more = Signal.like(row_more), Signal.like(row_more)
        # Whether they are 0, and whether rows have one word.
        row_ends, last_row, one_word = (
            Signal(name=name, reset_less=True) for name in ("row_ends", "last_row", "one_word")
        )
        m.d.comb += [word.last.eq(row_ends & last_row), self.i.ready.eq(~self.o.valid)]
        with m.If(~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                word.region.eq(block.region),
                word.address.eq(block.address),
                next_row.eq(block.address + block.address_stride),
                stride.eq(block.address_stride),
                row_more.eq(block.words - 1),
                more.eq(block.words - 1),
                rows_more.eq(block.rows - 1),
                row_ends.eq(block.words == 1),
                one_word.eq(block.words == 1),
                last_row.eq(block.rows == 1),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [
                word.address.eq(word.address + 1),
                more.eq(more - 1),
                row_ends.eq(more == 1),
            ]
            with m.If(row_ends):
                m.d.sync += [
                    word.address.eq(next_row),
                    next_row.eq(next_row + stride),
                    more.eq(row_more),
                    rows_more.eq(rows_more - 1),
                    row_ends.eq(one_word),
                    last_row.eq(rows_more == 1),
                    self.o.valid.eq(~last_row),
                ]
        return m
