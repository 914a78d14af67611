"""A channel: works a queue of transfers between external memory and the machine's memories."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.axi.elastic import Elastic
from rtl.axi.read import ReadMaster
from rtl.axi.signatures import Axi, AxiRead, AxiWrite
from rtl.axi.write import WriteMaster
from rtl.dma.check import Checker
from rtl.dma.registers import TransferError
from rtl.dma.split import BurstSplitter
from rtl.dma.transfer import ADDRESS, DmaConfig, transfer_layout
from rtl.dma.walk import WordWalker, block_layout, word_layout
from rtl.dma.words import Packer, StoreReader, packed_layout
from rtl.registers import Region

__all__ = ["BLOCKS", "COUNTERS", "DmaChannel"]

COUNTERS = ("transfers", "busy", "beats", "waits")
BLOCKS = 4
"""Loads whose words are still to come while the bursts of the next are asked for."""


class DmaChannel(wiring.Component):
    """Moves words between external memory and the machine's memories, transfer after transfer.

    Transfers begin and end in order. The bursts of a load are asked for while the words of up to
    ``BLOCKS`` loads before it still come; a store begins when the loads before it have ended, and
    ends, before the next transfer begins, with its last response. So what a transfer reads is what
    those before it wrote. Throughput a beat a cycle.

    A transfer that leaves its buffer or its region, or that the bus answers with an error, stops
    the channel: ``error`` says why, nothing more is issued, and what is under way on the bus is
    finished. The transfers before it end, also loads whose beats had come when the bus failed; none
    behind it does.

    ``reset`` does the same, then puts the channel into its first state; ``idle`` tells. What the
    bus has seen is always finished: reads are drained, writes have all their data in the channel.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    transfer : In(stream of transfer_layout)
    index : Out, base, size : In
        To the table of buffers: see :class:`Checker`.
    write : Out(stream of packed_layout)
        Words for the machine's memories.
    read : Out(stream of address), read_data : In
        Of features: the word comes in the cycle after that in which its read is taken.
    axi : Out(Axi)
    reset : In(1)
        For one cycle.
    idle : Out(1)
        No transfer waits or is under way, nor is a reset.
    error : Out(TransferError)
    ended : Out(1)
        A transfer has ended, for one cycle. At most one does in a cycle.
    transfers, busy, beats, waits : Out(32)
        Since the reset: transfers ended; cycles in which the channel was not idle, in which a beat
        passed, in which a word waited for the machine's memory.
    """

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "index": Out((config.buffers - 1).bit_length()),
                "base": In(config.axi.beat_address_bits),
                "size": In(config.axi.beat_address_bits),
                "write": Out(stream.Signature(packed_layout(config))),
                "read": Out(stream.Signature(ADDRESS)),
                "read_data": In(config.bits_of(Region.FEATURES)),
                "axi": Out(Axi(config.axi)),
                "reset": In(1),
                "idle": Out(1),
                "error": Out(4),
                "ended": Out(1),
                "transfers": Out(32),
                "busy": Out(32),
                "beats": Out(32),
                "waits": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        clear, resetting, stop = Signal(), Signal(), Signal()
        cleared = ResetInserter(clear)

        queue = SyncFIFOBuffered(width=transfer_layout(config).size, depth=config.queue + 1)
        blocks = SyncFIFOBuffered(width=block_layout().size, depth=BLOCKS + 1)
        checker, splitter, walker = Checker(config), BurstSplitter(config), WordWalker()
        reader, writer = ReadMaster(config.axi), WriteMaster(config.axi)
        places = Elastic(word_layout())
        packer, fetch = Packer(config), StoreReader(config, writer.queue_beats)
        parts = {
            "queue": queue,
            "blocks": blocks,
            "checker": checker,
            "splitter": splitter,
            "walker": walker,
            "places": places,
            "reader": reader,
            "writer": writer,
            "packer": packer,
            "fetch": fetch,
        }
        for name, part in parts.items():
            m.submodules[name] = cleared(part)

        # Transfers wait, and are checked one ahead of those that move.
        m.d.comb += [
            queue.w_data.eq(self.transfer.payload),
            queue.w_en.eq(self.transfer.valid & ~resetting),
            self.transfer.ready.eq(queue.w_rdy & ~resetting),
            Value.cast(checker.i.payload).eq(queue.r_data),
            checker.i.valid.eq(queue.r_rdy),
            queue.r_en.eq(checker.i.ready),
            self.index.eq(checker.index),
            checker.base.eq(self.base),
            checker.size.eq(self.size),
        ]

        # A load joins those under way; a store and an error wait for them.
        wanted, place = checker.o.p, places.o
        storing, begin = Signal(), Signal()
        moving = Signal()
        moved, drained, loadable = (
            Signal(name=name, init=1) for name in ("moved", "drained", "loadable")
        )
        # Of the cycle before: only a transfer that begins ends any of it, and none begins soon
        # after another.
        m.d.sync += [
            moved.eq(~moving & ~begin),
            drained.eq(~moving & ~begin & ~storing & reader.idle),
            loadable.eq(splitter.idle & blocks.w_rdy & ~begin & ~storing),
        ]
        m.d.comb += [
            moving.eq(
                ~splitter.idle
                | (blocks.level != 0)
                | (walker.o.valid | place.valid | packer.whole | packer.o.valid)
            ),
            begin.eq(
                checker.o.valid & ~wanted.refused & ~stop & Mux(wanted.store, drained, loadable)
            ),
            checker.o.ready.eq(begin),
            splitter.i.valid.eq(begin),
            *(splitter.i.p[name].eq(wanted[name]) for name, _ in splitter.i.p.shape()),
        ]
        block = Signal(block_layout())
        m.d.comb += [
            *(block[name].eq(wanted[name]) for name, _ in block.shape()),
            blocks.w_en.eq(begin),
            blocks.w_data.eq(block),
            Value.cast(walker.i.payload).eq(blocks.r_data),
            walker.i.valid.eq(blocks.r_rdy),
            blocks.r_en.eq(walker.i.ready),
        ]

        # The bursts and the places of words go the way of the transfer under way.
        m.d.comb += [
            reader.burst.payload.eq(splitter.o.payload),
            reader.burst.valid.eq(splitter.o.valid & ~storing),
            writer.burst.payload.eq(splitter.o.payload),
            writer.burst.valid.eq(splitter.o.valid & storing),
            splitter.o.ready.eq(Mux(storing, writer.burst.ready, reader.burst.ready)),
            reader.stop.eq(stop),
            writer.stop.eq(stop),
            packer.place.payload.eq(place.payload),
            packer.place.valid.eq(place.valid & ~storing),
            fetch.place.payload.eq(place.payload),
            fetch.place.valid.eq(place.valid & storing),
            place.ready.eq(Mux(storing, fetch.place.ready, packer.place.ready)),
        ]
        wiring.connect(m, walker.o, places.i)
        wiring.connect(m, reader.o, packer.i)
        for own, sub in ((AxiRead, reader.axi), (AxiWrite, writer.axi)):
            for name, member in own(config.axi).members.items():
                outer, inner = getattr(self.axi, name), getattr(sub, name)
                m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)

        # To and from the machine's memories.
        wiring.connect(m, packer.o, wiring.flipped(self.write))
        wiring.connect(m, fetch.memory, wiring.flipped(self.read))
        m.d.comb += [
            fetch.read_data.eq(self.read_data),
            writer.i.payload.eq(fetch.beat),
            writer.i.valid.eq(fetch.valid),
            fetch.left.eq(writer.left),
        ]

        loaded, stored = Signal(), Signal()
        m.d.comb += [
            loaded.eq(packer.o.valid & packer.o.ready & packer.o.p.last),
            stored.eq(storing & moved & writer.idle),
            self.ended.eq((loaded & ~resetting) | (stored & ~stop)),
            self.idle.eq(drained & checker.idle & (queue.level == 0) & ~stop),
        ]
        with m.If(begin):
            m.d.sync += storing.eq(wanted.store)
        with m.Elif(stored):
            m.d.sync += storing.eq(0)

        def fail(error) -> list:
            return [stop.eq(1), self.error.eq(error)]

        with m.If(~stop):
            with m.If(writer.failed):
                m.d.sync += fail(TransferError.WRITE_SLVERR + writer.response[0])
            with m.Elif(reader.failed):
                m.d.sync += fail(TransferError.READ_SLVERR + reader.response[0])
            with m.Elif(checker.o.valid & wanted.refused & drained):
                m.d.sync += fail(wanted.error)

        self.count(m, clear, reader.axi, writer.axi)

        # What the bus has seen ends first.
        m.d.sync += clear.eq(resetting & reader.idle & writer.idle & ~clear)
        with m.If(self.reset):
            m.d.sync += [stop.eq(1), resetting.eq(1)]
        with m.If(clear):
            m.d.sync += [resetting.eq(0), stop.eq(0), storing.eq(0), self.error.eq(0)]
            m.d.sync += [flag.eq(1) for flag in (moved, drained, loadable)]
        return m

    def count(self, m: Module, clear: Value, read, write) -> None:
        """The counters; each sees its event a cycle late."""
        events = {
            "transfers": self.ended,
            "busy": ~self.idle,
            "beats": (read.rvalid & read.rready) | (write.wvalid & write.wready),
            "waits": (self.write.valid & ~self.write.ready) | (self.read.valid & ~self.read.ready),
        }
        for name in COUNTERS:
            event, counter = Signal(name=f"{name}_event"), getattr(self, name)
            m.d.sync += [event.eq(events[name] & ~clear), counter.eq(counter + event)]
            with m.If(clear):
                m.d.sync += counter.eq(0)
