"""The host's registers of two channels: buffers, transfers, status and counters."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.dma.marks import Marks, mark_layout
from rtl.dma.registers import (
    BUFFERS,
    CHANNEL_WORDS,
    CHANNELS,
    DMA_REGION,
    MARK_COUNT,
    MARKS,
    BufferRegister,
    ChannelRegister,
    TransferRegister,
)
from rtl.dma.transfer import DmaConfig, transfer_layout
from rtl.host import HostBus, HostPort
from rtl.registers import REGION_SHIFT

__all__ = ["ChannelState", "DmaControl"]


class ChannelState(wiring.Signature):
    """What a channel tells, seen from the channel; see ``DmaChannel``."""

    def __init__(self) -> None:
        super().__init__(
            {
                "idle": Out(1),
                "error": Out(4),
                "transfers": Out(32),
                "busy": Out(32),
                "beats": Out(32),
                "waits": Out(32),
            }
        )


class DmaControl(wiring.Component):
    """Decodes the host bus for the region ``DMA_REGION``: see ``rtl.dma.registers``.

    Answers other regions with 0 and in as many cycles as :class:`HostPort`, so both stand on one
    bus with ``read_data`` of either or-ed and ``read_valid`` the other's.

    Parameters
    ----------
    config : DmaConfig
        Addresses and offsets of up to 32 bits can be written.

    Members
    -------
    bus : In(HostBus)
    transfer_0, transfer_1 : Out(stream of transfer_layout)
        ``ready`` must not depend on ``valid``. Never waits: without ``ready`` the transfer is lost,
        and a bit tells.
    reset_0, reset_1 : Out(1)
    index_0, index_1 : In, base_0, base_1, size_0, size_1 : Out
        Buffers, in beats, in the cycle after ``index``.
    state_0, state_1 : In(ChannelState)
    mark : In(stream of mark_layout)
        Always ready.

    Errors: ``ValueError`` for addresses of more than 32 bits or more buffers than have registers.
    """

    read_latency = HostPort.read_latency

    def __init__(self, config: DmaConfig) -> None:
        if config.axi.address_bits > 32:
            raise ValueError(f"address_bits = {config.axi.address_bits}: registers have 32 bits")
        if config.buffers > 32:
            raise ValueError(f"buffers = {config.buffers}: there are registers of 32")
        self.config = config
        address = config.axi.beat_address_bits
        members: dict = {
            "bus": In(HostBus()),
            "mark": In(stream.Signature(mark_layout())),
        }
        for n in range(CHANNELS):
            members |= {
                f"transfer_{n}": Out(stream.Signature(transfer_layout(config))),
                f"reset_{n}": Out(1),
                f"index_{n}": In((config.buffers - 1).bit_length()),
                f"base_{n}": Out(address),
                f"size_{n}": Out(address),
                f"state_{n}": In(ChannelState()),
            }
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        config, bus = self.config, self.bus
        shift = config.axi.beat_shift
        place_bits = (MARKS + 2 * MARK_COUNT - 1).bit_length()
        place = bus.address[:place_bits]
        among = Signal()
        m.d.comb += among.eq(
            (bus.address[REGION_SHIFT:] == DMA_REGION) & (bus.address[place_bits:REGION_SHIFT] == 0)
        )
        # A write, a cycle late.
        write, to, value = Signal(), Signal(place_bits), Signal(32, reset_less=True)
        m.d.sync += [write.eq(bus.write & among), to.eq(place), value.eq(bus.write_data)]

        # Buffers: the size that is written last makes the pair whole.
        for name, register in (("base", BufferRegister.BASE), ("size", BufferRegister.SIZE)):
            m.submodules[name] = table = memory.Memory(
                shape=config.axi.beat_address_bits, depth=config.buffers, init=[]
            )
            port = table.write_port()
            m.d.comb += [
                port.addr.eq(to[1:]),
                port.data.eq(value[shift:]),
                port.en.eq(write & (to // BUFFERS == 1) & (to[0] == register)),
            ]
            for n in range(CHANNELS):
                read = table.read_port()
                m.d.comb += [
                    read.addr.eq(getattr(self, f"index_{n}")),
                    getattr(self, f"{name}_{n}").eq(read.data),
                ]

        fields = Signal(transfer_layout(config), reset_less=True)
        with m.If(write), m.Switch(to):
            with m.Case(TransferRegister.OFFSET):
                m.d.sync += fields.offset.eq(value[shift:])
            with m.Case(TransferRegister.ADDRESS):
                m.d.sync += fields.address.eq(value)
            with m.Case(TransferRegister.SHAPE):
                m.d.sync += [fields.words.eq(value[:16]), fields.rows.eq(value[16:])]
            with m.Case(TransferRegister.MEMORY_STRIDE):
                m.d.sync += fields.memory_stride.eq(value[shift:])
            with m.Case(TransferRegister.ADDRESS_STRIDE):
                m.d.sync += fields.address_stride.eq(value)

        lost, started = (
            [Signal(name=f"{name}_{n}") for n in range(CHANNELS)] for name in ("lost", "started")
        )
        for n in range(CHANNELS):
            transfer, reset = getattr(self, f"transfer_{n}"), getattr(self, f"reset_{n}")
            first = (1 + n) * CHANNEL_WORDS
            start = write & (to == first + ChannelRegister.START)
            with m.If(start):
                m.d.sync += [
                    fields.base.eq(value[:8]),
                    fields.region.eq(value[8:16]),
                    fields.store.eq(value[16]),
                ]
            m.d.sync += [
                started[n].eq(start),
                reset.eq(write & (to == first + ChannelRegister.RESET)),
            ]
            m.d.comb += [transfer.payload.eq(fields), transfer.valid.eq(started[n])]
            with m.If(started[n] & ~transfer.ready):
                m.d.sync += lost[n].eq(1)
            with m.If(reset):
                m.d.sync += lost[n].eq(0)
        self.answer(m, among, place, lost)
        return m

    def answer(self, m: Module, among: Value, place: Value, lost: list) -> None:
        """Reads: the last of the cycles that they take choose, first a register, then a channel."""
        bus = self.bus
        reads, places = Signal(self.read_latency), Signal(6)
        asked = Signal(6)
        delayed = [Signal(7, name=f"asked_{n}") for n in range(self.read_latency - 2)]
        m.d.sync += Cat(*delayed).eq(Cat(place[:6], among & (place < BUFFERS), *delayed[:-1]))
        m.d.sync += reads.eq(Cat(bus.read, reads))
        m.d.comb += bus.read_valid.eq(reads[-1])
        request = delayed[-1]
        m.d.comb += [asked.eq(request[:6]), places.eq(asked)]
        answers = [self.marked(m, among, place)]
        for n in range(CHANNELS):
            state = getattr(self, f"state_{n}")
            status = Cat(state.idle, getattr(self, f"transfer_{n}").ready, lost[n], Const(0, 5))
            content = {
                ChannelRegister.STATUS: Cat(status, state.error),
                ChannelRegister.TRANSFERS: state.transfers,
                ChannelRegister.BUSY: state.busy,
                ChannelRegister.BEATS: state.beats,
                ChannelRegister.WAITS: state.waits,
            }
            chosen = Signal(32, name=f"chosen_{n}")
            m.d.sync += chosen.eq(0)
            with m.If(request[-1] & (asked[4:] == 1 + n)), m.Switch(asked[:4]):
                for register, value in content.items():
                    with m.Case(register):
                        m.d.sync += chosen.eq(value)
            answers.append(chosen)
        m.d.sync += bus.read_data.eq(reduce(or_, answers))

    def marked(self, m: Module, among: Value, place: Value) -> Signal:
        """The answer where a mark is read, 0 elsewhere: in the last cycle but one of a read."""
        m.submodules.marks = marks = Marks()
        wiring.connect(m, wiring.flipped(self.mark), marks.mark)
        asked, found = (Signal(name=f"mark_{name}") for name in ("asked", "found"))
        half = Signal(2)
        picked, marked = (Signal(32, name=name) for name in ("picked_mark", "marked"))
        m.d.sync += [
            asked.eq(among & (place >= MARKS)),
            marks.index.eq(place[1:]),
            found.eq(asked),
            half.eq(Cat(place[0], half)),
            picked.eq(Mux(half[1], marks.noted.waits, marks.noted.cycles) & found.replicate(32)),
            marked.eq(picked),
        ]
        return marked
