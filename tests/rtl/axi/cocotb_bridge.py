"""What cocotbext-axi finds: it drives the bridge's Verilog in a simulator of its own."""

import itertools
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBurstType, AxiBus, AxiMaster, AxiResp

BASE, WORDS = 0x4000_0000, 1 << 9


async def master(dut, stall):
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    found = AxiMaster(
        AxiBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, reset_active_level=True, max_burst_len=16
    )
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    if stall:
        channels = (
            found.write_if.aw_channel,
            found.write_if.w_channel,
            found.write_if.b_channel,
            found.read_if.ar_channel,
            found.read_if.r_channel,
        )
        for seed, channel in enumerate(channels):
            pauses = random.Random(seed)
            channel.set_pause_generator(pauses.random() < 0.5 for _ in itertools.count())
    return found


async def traffic(dut, stall):
    """Reads and writes at once, against a picture of the memory."""
    axi = await master(dut, stall)
    chance = random.Random(stall)
    picture = bytearray(4 * WORDS)
    written = await axi.write(BASE, bytes(picture))
    assert written.resp == AxiResp.OKAY
    for _ in range(25):
        at, words = 4 * chance.randrange(WORDS - 80), chance.randrange(1, 80)
        data = chance.randbytes(4 * words)
        # Another part is read meanwhile: the bridge keeps the two apart.
        other, size = chance.randrange(2 * WORDS), chance.randrange(1, 100)
        apart = other + size <= at or at + 4 * words <= other
        pending = cocotb.start_soon(axi.read(BASE + other, size)) if apart else None
        written = await axi.write(BASE + at, data)
        assert written.resp == AxiResp.OKAY
        picture[at : at + len(data)] = data
        if pending is not None:
            found = await pending
            assert found.resp == AxiResp.OKAY
            assert found.data == bytes(picture[other : other + size])
        found = await axi.read(BASE + at, len(data))
        assert (found.resp, found.data) == (AxiResp.OKAY, data)


@cocotb.test()
async def bursts(dut):
    await traffic(dut, 0)


@cocotb.test()
async def bursts_with_stalls(dut):
    await traffic(dut, 1)


@cocotb.test()
async def kinds_of_bursts(dut):
    axi = await master(dut, 0)
    data = bytes(range(1, 65))
    await axi.write(BASE + 128, data)
    fixed = await axi.read(BASE + 128, 32, burst=AxiBurstType.FIXED)
    assert fixed.data == data[:4] * 8
    wrapped = await axi.read(BASE + 128 + 24, 32, burst=AxiBurstType.WRAP)
    assert wrapped.data == data[24:32] + data[:24]
    for size in (0, 1):
        narrow = await axi.read(BASE + 128 + 3, 21, size=size)
        assert narrow.data == data[3:24]


@cocotb.test()
async def errors(dut):
    axi = await master(dut, 0)
    await axi.write(BASE, bytes(range(16)))
    # A write without all strobes is refused by the slave, and the response of the burst says so.
    assert (await axi.write(BASE + 2, bytes(8))).resp == AxiResp.SLVERR
    whole = (await axi.read(BASE, 16)).data
    assert whole == bytes([0, 1, 2, 3, 0, 0, 0, 0, *range(8, 16)])
    # Outside the window nobody is asked.
    for outside in (BASE - 64, BASE + (1 << 28), 0):
        assert (await axi.write(outside, bytes(64))).resp == AxiResp.DECERR
        assert (await axi.read(outside, 64)).resp == AxiResp.DECERR
    assert (await axi.read(BASE, 16)).data == whole
    assert (await axi.write(BASE, bytes(4))).resp == AxiResp.OKAY


@cocotb.test()
async def identifiers(dut):
    axi = await master(dut, 1)
    await axi.write(BASE, bytes(range(64)))
    # cocotbext-axi refuses a response of another ID than it sent.
    tags = (0, 9, 4095)
    pending = [axi.init_read(BASE + 4 * i, 4, arid=tag) for i, tag in enumerate(tags)]
    for i, event in enumerate(pending):
        await event.wait()
        assert event.data.data == bytes(range(4 * i, 4 * i + 4))
