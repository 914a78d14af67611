"""Splits rows of beats into bursts."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.read import burst_layout
from rtl.dma.transfer import COUNT, STRIDE, DmaConfig

__all__ = ["BurstSplitter", "bursts", "rows_layout"]


def rows_layout(config: DmaConfig) -> data.StructLayout:
    """Rows of beats in external memory: ``rows`` of ``row_beats`` each, ``memory_stride`` apart."""
    return data.StructLayout(
        {
            "first": config.axi.beat_address_bits,
            "row_beats": config.row_bits,
            "memory_stride": STRIDE,
            "rows": COUNT,
        }
    )


def bursts(first: int, row_beats: int, memory_stride: int, rows: int, burst: int) -> list:
    """Bursts of rows: ``(address, length)`` with the length as beats minus one.

    >>> bursts(first=14, row_beats=20, memory_stride=100, rows=1, burst=16)
    [(14, 1), (16, 15), (32, 1)]
    """
    found = []
    for row in range(rows):
        begin = first + row * memory_stride
        end = begin + row_beats
        while begin < end:
            following = min(end, (begin // burst + 1) * burst)
            found.append((begin, following - begin - 1))
            begin = following
    return found


class BurstSplitter(wiring.Component):
    """Makes bursts of rows of beats.

    Every burst ends at a multiple of the longest burst's beats, or with its row. That costs a row
    at most one burst more than the fewest, no adder decides it, and no burst crosses 4096 bytes,
    which are a multiple of the longest. One burst every two cycles, the first 3 cycles behind the
    rows.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    i : In(stream of rows_layout)
    o : Out(stream of burst_layout)
    idle : Out(1)
        Nothing is left of what was taken.
    """

    latency = 3

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(rows_layout(config))),
                "o": Out(stream.Signature(burst_layout(config.axi))),
                "idle": Out(1, init=1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, rows, burst = self.config, self.i.p, self.o.p
        length_bits = config.axi.length_bits
        address = Signal(config.axi.beat_address_bits, reset_less=True)
        next_row = Signal.like(address, reset_less=True)
        stride = Signal(STRIDE, reset_less=True)
        # Beats of a row, beats left of this one, rows left: minus one each.
        row_more = Signal(config.row_bits, reset_less=True)
        more = Signal.like(row_more, reset_less=True)
        rows_more = Signal(COUNT, reset_less=True)
        finished = Signal()

        low = address[:length_bits]
        # Whether the burst that begins at the address ends its row; a cycle late.
        ends = Signal()
        m.d.sync += ends.eq((more >> length_bits == 0) & (more[:length_bits] <= ~low))
        settle, plan = Signal(), Signal()
        m.d.comb += self.i.ready.eq(self.idle)
        with m.If(self.idle):
            m.d.sync += [
                address.eq(rows.first),
                next_row.eq(rows.first + rows.memory_stride),
                stride.eq(rows.memory_stride),
                row_more.eq(rows.row_beats - 1),
                more.eq(rows.row_beats - 1),
                rows_more.eq(rows.rows - 1),
            ]
            with m.If(self.i.valid):
                m.d.sync += [self.idle.eq(0), settle.eq(1)]
        with m.If(settle):
            m.d.sync += [settle.eq(0), plan.eq(1)]
        # To the end of the row, or to the next multiple; what follows is known at once.
        with m.If(plan):
            m.d.sync += [
                burst.address.eq(address),
                burst.length.eq(Mux(ends, more[:length_bits], ~low)),
                finished.eq(ends & (rows_more == 0)),
                address.eq(Cat(Const(0, length_bits), address[length_bits:] + 1)),
                more.eq(more - (1 << length_bits) + low),
                plan.eq(0),
                self.o.valid.eq(1),
            ]
            with m.If(ends):
                m.d.sync += [
                    address.eq(next_row),
                    next_row.eq(next_row + stride),
                    more.eq(row_more),
                    rows_more.eq(rows_more - 1),
                ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), plan.eq(~finished), self.idle.eq(finished)]
        return m
