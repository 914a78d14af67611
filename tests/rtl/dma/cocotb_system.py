"""Run by ``test_engine.py`` in Icarus: masters and memories of cocotbext-axi at all ports."""

import dataclasses
import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave, SparseMemoryRegion

from rtl.dma.registers import (
    BUFFERS,
    DMA_REGION,
    BufferRegister,
    ChannelRegister,
    StatusBit,
    TransferError,
    TransferRegister,
    channel_address,
    start_word,
)
from rtl.dma.walk import words_of
from rtl.dma.words import beats_of, word_from
from rtl.packing import pieces
from rtl.registers import ID, REGION_SHIFT, Region
from tests.rtl.dma.bench import random_transfers, transfer
from tests.rtl.dma.system import FINGERPRINT, SYSTEM

BASES = (0x0001_0000, 0x1000_0F00, 0x2000_0000, 0xFFFF_0000)
SIZE = 0x4000


def pauses(share, seed):
    """Endless pattern of stalls."""
    generator = random.Random(seed)
    while True:
        yield generator.random() < share


class Window(SparseMemoryRegion):
    """External memory that knows its buffers, and may have a byte that the bus cannot reach."""

    def __init__(self, allowed):
        super().__init__(size=2**32)
        self.allowed = allowed
        self.escapes = 0
        self.broken = -1

    def verify(self, address, length):
        end = address + length
        if not any(base <= address and end <= base + size for base, size in self.allowed):
            self.escapes += 1
        if address <= self.broken < end:
            raise ValueError("broken memory")

    async def _read(self, address, length, **kwargs):
        self.verify(address, length)
        return await super()._read(address, length, **kwargs)

    async def _write(self, address, data, **kwargs):
        self.verify(address, len(data))
        return await super()._write(address, data, **kwargs)


class System:
    """The design with its surroundings, after reset."""

    def __init__(self, dut, stall):
        self.dut, self.stall = dut, stall
        self.random = random.Random(int(1000 * stall))
        self.memory = Window([(base, SIZE) for base in BASES])

    async def begin(self):
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk, 5, unit="ns").start())
        for name in ("machine_writes", "machine_word", "machine_reads", "takes"):
            getattr(dut, name).value = 0
        dut.rst.value = 1
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk)
        self.slaves = [
            AxiSlave(AxiBus.from_prefix(dut, f"axi_{n}_"), dut.clk, target=self.memory)
            for n in range(2)
        ]
        parts = [self.host.write_if, self.host.read_if]
        channels = [
            getattr(part, f"{name}_channel")
            for part, names in zip(parts, (("aw", "w", "b"), ("ar", "r")))
            for name in names
        ]
        for slave in self.slaves:
            channels += [
                getattr(slave.write_if, f"{name}_channel") for name in ("aw", "w", "b")
            ] + [getattr(slave.read_if, f"{name}_channel") for name in ("ar", "r")]
        if self.stall:
            for n, channel in enumerate(channels):
                channel.set_pause_generator(pauses(self.stall, n))
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        for base in BASES:
            self.memory.mem.write(base, self.random.randbytes(SIZE))
        for n, base in enumerate(BASES):
            await self.set(BUFFERS + 2 * n + BufferRegister.BASE, base)
            await self.set(BUFFERS + 2 * n + BufferRegister.SIZE, SIZE)

    async def set(self, place, value):
        await self.host.write_dword(4 * ((DMA_REGION << REGION_SHIFT) + place), value)

    async def get(self, place):
        return await self.host.read_dword(4 * ((DMA_REGION << REGION_SHIFT) + place))

    async def start(self, channel, t):
        while (
            not await self.get(channel_address(channel, ChannelRegister.STATUS)) >> (StatusBit.ROOM)
            & 1
        ):
            pass
        await self.set(TransferRegister.OFFSET, 8 * t["offset"])
        await self.set(TransferRegister.ADDRESS, t["address"])
        await self.set(TransferRegister.SHAPE, t["words"] | t["rows"] << 16)
        await self.set(TransferRegister.MEMORY_STRIDE, 8 * t["memory_stride"] & 0xFFFF_FFFF)
        await self.set(TransferRegister.ADDRESS_STRIDE, t["address_stride"])
        word = start_word(t["base"], t["region"], bool(t["store"]))
        await self.set(channel_address(channel, ChannelRegister.START), word)

    async def settle(self, channel):
        """The status when the channel is idle or has failed."""
        for _ in range(3000):
            status = await self.get(channel_address(channel, ChannelRegister.STATUS))
            if status & 1 << StatusBit.IDLE or status >> 8:
                return status
        raise TimeoutError("the channel hangs")

    async def read_word(self, region, address):
        bits = SYSTEM.bits_of(region)
        parts = pieces(bits)
        base = (region << REGION_SHIFT) + address * parts
        read = [await self.host.read_dword(4 * (base + n)) for n in range(parts)]
        return sum(piece << 32 * n for n, piece in enumerate(read)) & (1 << bits) - 1

    async def machine(self):
        """Accesses of the machine, which come first; what it reads is what it wrote."""
        dut, asked, told = self.dut, [], 0
        word = None
        while True:
            writes = self.random.random() < 0.3
            value = self.random.getrandbits(128)
            dut.machine_writes.value = int(writes)
            dut.machine_word.value = value
            dut.machine_reads.value = int(word is not None and self.random.random() < 0.4)
            dut.takes.value = int(self.random.random() < 0.4)
            await ReadOnly()
            if asked and dut.residual_valid.value == 1:
                # The word as it was when it was asked for, however long it has waited.
                assert int(dut.residual.value) == asked[0]
                if dut.takes.value == 1:
                    asked.pop(0)
                    told += 1
            if dut.machine_reads.value == 1 and (
                dut.residual_valid.value == 0 or dut.takes.value == 1
            ):
                asked.append(word)
            if writes:
                word = value
            self.told = told
            await RisingEdge(dut.clk)


def expected_word(memory, t, n, bits):
    """What the n-th word of a load is."""
    row, column = divmod(n, t["words"])
    beats = -(-bits // 64)
    at = BASES[t["base"]] + 8 * (t["offset"] + row * t["memory_stride"] + column * beats)
    held = [int.from_bytes(memory.mem.read(at + 8 * k, 8), "little") for k in range(beats)]
    return word_from(held, bits, 64)


def own_transfers(channel, seed):
    """Transfers of words and buffers that the other channel does not touch."""
    features = (Region.FEATURES, 120, 128)
    regions = [SYSTEM.regions[:2], SYSTEM.regions[2:3]][channel]
    limited = dataclasses.replace(SYSTEM, regions=(*regions, features))
    found = random_transfers(limited, [SIZE // 8] * 2, 10, seed)
    for t in found:
        t["base"] += 2 * channel
        if t["region"] == Region.FEATURES:
            t["address"] += 128 * channel
    return found


@cocotb.test()
async def transfers_on_both_channels(dut):
    """Both work at once, the machine takes the features' memory now and then, nothing is lost."""
    system = System(dut, float(os.environ["STALL"]))
    await system.begin()
    assert await system.host.read_dword(0) == ID
    assert await system.host.read_dword(8) == FINGERPRINT
    machine = cocotb.start_soon(system.machine())
    work = [own_transfers(channel, seed=channel) for channel in range(2)]
    before = {base: bytes(system.memory.mem.read(base, SIZE)) for base in BASES}
    for pair in zip(*work):
        for channel, t in enumerate(pair):
            await system.start(channel, t)
    for channel in range(2):
        status = await system.settle(channel)
        assert status & 1 << StatusBit.IDLE and status >> 8 == TransferError.NONE
        assert not status & 1 << StatusBit.LOST
        ended = await system.get(channel_address(channel, ChannelRegister.TRANSFERS))
        assert ended == len(work[channel])
    # The host looks at memories only while the machine rests.
    machine.cancel()
    dut.machine_writes.value = dut.machine_reads.value = 0
    await ClockCycles(dut.clk, 2)
    # The same in a model, a channel after the other: they share nothing.
    model = Window([])
    for base, content in before.items():
        model.mem.write(base, content)
    words = {}
    for t in (*work[0], *work[1]):
        region = Region(t["region"])
        bits = SYSTEM.bits_of(region)
        for n, address in enumerate(
            words_of(t["address"], t["words"], t["rows"], t["address_stride"])
        ):
            if not t["store"]:
                words[region, address] = expected_word(model, t, n, bits)
                continue
            row, column = divmod(n, t["words"])
            at = BASES[t["base"]] + 8 * (t["offset"] + row * t["memory_stride"] + 2 * column)
            for k, beat in enumerate(beats_of(words.get((region, address), 0), bits, 64)):
                model.mem.write(at + 8 * k, beat.to_bytes(8, "little"))
    for base in BASES:
        assert system.memory.mem.read(base, SIZE) == model.mem.read(base, SIZE)
    for region, address in random.Random(0).sample(sorted(words), 15):
        assert await system.read_word(region, address) == words[region, address]
    assert system.memory.escapes == 0
    assert system.told > 20


@cocotb.test()
async def errors_and_resets(dut):
    """A response with an error stops its channel alone; after a reset it works again."""
    system = System(dut, float(os.environ["STALL"]))
    await system.begin()
    for store, code in ((0, TransferError.READ_SLVERR), (1, TransferError.WRITE_SLVERR)):
        for channel in range(2):
            system.memory.broken = BASES[channel] + 0x830
            bad = transfer(words=40, store=store, base=channel, offset=0xF0)
            await system.start(channel, bad)
            await system.start(1 - channel, transfer(words=40, base=1 - channel))
            assert await system.settle(channel) >> 8 == code
            assert await system.settle(1 - channel) == 1 << StatusBit.IDLE | 1 << StatusBit.ROOM
            await system.set(channel_address(channel, ChannelRegister.RESET), 1)
            system.memory.broken = -1
            assert (await system.settle(channel)) >> 8 == TransferError.NONE
            await system.start(channel, transfer(words=5, base=channel, address=9))
            assert (await system.settle(channel)) >> 8 == TransferError.NONE
    # Refused, and reset in the middle of long transfers.
    await system.start(0, transfer(words=200, base=0, offset=SIZE // 8 - 399))
    assert await system.settle(0) >> 8 == TransferError.OUTSIDE_BUFFER
    await system.set(channel_address(0, ChannelRegister.RESET), 1)
    for store in (0, 1):
        for wait in (1, 60, 99):
            await system.start(1, transfer(words=250, base=1, store=store))
            await ClockCycles(dut.clk, wait)
            await system.set(channel_address(1, ChannelRegister.RESET), 1)
            assert await system.settle(1) == 1 << StatusBit.IDLE | 1 << StatusBit.ROOM
            assert await system.get(channel_address(1, ChannelRegister.TRANSFERS)) == 0
    assert system.memory.escapes == 0
