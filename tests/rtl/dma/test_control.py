import gc

import pytest
from amaranth.back import rtlil

from rtl.axi.signatures import AxiConfig
from rtl.dma.control import DmaControl
from rtl.dma.registers import (
    BUFFERS,
    DMA_REGION,
    MARK_COUNT,
    MARKS,
    BufferRegister,
    ChannelRegister,
    MarkRegister,
    StatusBit,
    TransferError,
    TransferRegister,
    channel_address,
    mark_address,
    start_word,
)
from rtl.dma.transfer import DmaConfig
from rtl.host import HostPort
from rtl.registers import REGION_SHIFT, Region
from sim.bench import Bench, plain
from tests.rtl.dma.bench import config, transfer

BASE = DMA_REGION << REGION_SHIFT


async def write(ctx, dut, place, value, base=BASE):
    ctx.set(dut.bus.address, base + place)
    ctx.set(dut.bus.write_data, value)
    ctx.set(dut.bus.write, 1)
    await ctx.tick()
    ctx.set(dut.bus.write, 0)


async def read(ctx, dut, place, base=BASE):
    ctx.set(dut.bus.address, base + place)
    ctx.set(dut.bus.read, 1)
    await ctx.tick()
    ctx.set(dut.bus.read, 0)
    ctx.set(dut.bus.address, 0)
    for _ in range(HostPort.read_latency - 1):
        assert not ctx.get(dut.bus.read_valid)
        await ctx.tick()
    assert ctx.get(dut.bus.read_valid)
    return ctx.get(dut.bus.read_data)


def test_marks():
    """They can be read, and a write to their place changes no buffer."""
    dut = DmaControl(config())
    noted = {0: (5, 3), 1: (0xFFFF_FFFF, 7), MARK_COUNT - 1: (0x1234_5678, 0x9ABC_DEF0)}

    async def testbench(ctx):
        await write(ctx, dut, BUFFERS + BufferRegister.BASE, 0x1000)
        for index, (cycles, waits) in noted.items():
            ctx.set(dut.mark.p.index, index)
            ctx.set(dut.mark.p.noted.cycles, cycles)
            ctx.set(dut.mark.p.noted.waits, waits)
            ctx.set(dut.mark.valid, 1)
            await ctx.tick()
        ctx.set(dut.mark.valid, 0)
        await write(ctx, dut, MARKS + BUFFERS + BufferRegister.BASE, 0x2000)
        for index, pair in noted.items():
            for register in MarkRegister:
                assert await read(ctx, dut, mark_address(index, register)) == pair[register]
        assert await read(ctx, dut, MARKS, base=Region.FEATURES << REGION_SHIFT) == 0
        ctx.set(dut.index_0, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.base_0) == 0x1000 >> dut.config.axi.beat_shift

    Bench(dut).run(testbench)


def test_buffers():
    dut = DmaControl(config())
    pairs = [(0x1000 * n + 8, (0xFFFF_FFF8 >> n) & ~7) for n in range(4)]

    async def testbench(ctx):
        for n, (base, size) in enumerate(pairs):
            await write(ctx, dut, BUFFERS + 2 * n + BufferRegister.BASE, base)
            await write(ctx, dut, BUFFERS + 2 * n + BufferRegister.SIZE, size)
        await ctx.tick()
        for n in range(4):
            ctx.set(dut.index_0, n)
            ctx.set(dut.index_1, 3 - n)
            await ctx.tick()
            assert (8 * ctx.get(dut.base_0), 8 * ctx.get(dut.size_0)) == pairs[n]
            assert (8 * ctx.get(dut.base_1), 8 * ctx.get(dut.size_1)) == pairs[3 - n]

    Bench(dut).run(testbench)


def test_transfers():
    """A write to START pushes what stands in the registers, to that channel alone."""
    dut = DmaControl(config())
    wanted = transfer(
        Region.PARAMETERS,
        words=2**16 - 1,
        rows=2**15 + 1,
        store=1,
        base=3,
        offset=2**29 - 1,
        address=2**24 - 2,
        memory_stride=2**24 - 1,
        address_stride=2**23 + 1,
    )
    pushed = []

    async def testbench(ctx):
        ctx.set(dut.transfer_1.ready, 1)
        await write(ctx, dut, TransferRegister.OFFSET, 8 * wanted["offset"])
        await write(ctx, dut, TransferRegister.ADDRESS, wanted["address"])
        await write(ctx, dut, TransferRegister.SHAPE, wanted["words"] | wanted["rows"] << 16)
        await write(ctx, dut, TransferRegister.MEMORY_STRIDE, 8 * wanted["memory_stride"])
        await write(ctx, dut, TransferRegister.ADDRESS_STRIDE, wanted["address_stride"])
        word = start_word(3, Region.PARAMETERS, True)
        await write(ctx, dut, channel_address(1, ChannelRegister.START), word)
        # Another region, and a place behind the registers, are not meant.
        await write(ctx, dut, channel_address(0, ChannelRegister.START), word, base=0)
        await write(ctx, dut, channel_address(0, ChannelRegister.START) + 256, word)
        await ctx.tick().repeat(4)

    async def watch(ctx):
        for _ in range(15):
            *_, first, second, payload = await ctx.tick().sample(
                dut.transfer_0.valid, dut.transfer_1.valid, dut.transfer_1.payload
            )
            assert not first
            if second:
                pushed.append(plain(payload))

    Bench(dut).run(testbench, watch)
    assert pushed == [wanted]


@pytest.mark.parametrize("channel", [0, 1])
def test_registers_of_a_channel(channel):
    dut = DmaControl(config())
    resets = []

    async def testbench(ctx):
        state = getattr(dut, f"state_{channel}")
        counters = {"transfers": 1, "busy": 2**32 - 1, "beats": 0x12345678, "waits": 77}
        for name, value in counters.items():
            ctx.set(getattr(state, name), value)
            register = ChannelRegister[name.upper()]
            assert await read(ctx, dut, channel_address(channel, register)) == value
            assert await read(ctx, dut, channel_address(1 - channel, register)) == 0
            assert await read(ctx, dut, channel_address(channel, register), base=0) == 0
        status = channel_address(channel, ChannelRegister.STATUS)
        for error in TransferError:
            ctx.set(state.error, error)
            ctx.set(state.idle, error & 1)
            assert await read(ctx, dut, status) == error & 1 | error << 8
        # A START without room is lost, and told until the reset.
        ctx.set(state.error, 0)
        await write(ctx, dut, channel_address(channel, ChannelRegister.START), 0)
        await ctx.tick().repeat(2)
        ctx.set(getattr(dut, f"transfer_{channel}").ready, 1)
        assert await read(ctx, dut, status) == 1 << StatusBit.ROOM | 1 << StatusBit.LOST
        await write(ctx, dut, channel_address(channel, ChannelRegister.RESET), 1)
        for _ in range(3):
            *_, own, other = await ctx.tick().sample(
                getattr(dut, f"reset_{channel}"), getattr(dut, f"reset_{1 - channel}")
            )
            resets.append(own)
            assert not other
        assert await read(ctx, dut, status) == 1 << StatusBit.ROOM

    Bench(dut).run(testbench)
    assert sum(resets) == 1


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_has_no_registers_is_refused():
    regions = config().regions
    with pytest.raises(ValueError, match="address_bits = 40: registers have 32 bits"):
        DmaControl(DmaConfig(AxiConfig(address_bits=40), regions))
    with pytest.raises(ValueError, match="buffers = 64: there are registers of 32"):
        DmaControl(DmaConfig(AxiConfig(), regions, buffers=64))
    # Where the filter holds: what was refused was never used.
    gc.collect()


def test_conversion():
    rtlil.convert(DmaControl(config()))
