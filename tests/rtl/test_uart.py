"""Bytes over a line: at once, with clocks that differ, and with what is no byte."""

from itertools import pairwise

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.uart import UartReceiver, UartTransmitter
from sim.bench import Bench


class Loop(wiring.Component):
    """A transmitter at a receiver."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "o": Out(8), "o_valid": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        m.d.comb += [
            receiver.line.eq(transmitter.line),
            self.o.eq(receiver.o),
            self.o_valid.eq(receiver.o_valid),
        ]
        return m


async def listen(ctx, dut, count, found):
    while len(found) < count:
        *_, valid, byte = await ctx.tick().sample(dut.o_valid, dut.o)
        if valid:
            found.append(byte)


@pytest.mark.parametrize("divisor", (4, 5, 16))
@pytest.mark.parametrize("stall", (0.0, 0.5))
def test_what_is_sent_is_received(divisor, stall):
    dut = Loop(divisor)
    sent = [0, 255, 85, 170, *np.random.default_rng(divisor).integers(0, 256, 30).tolist()]
    bench, found, taken = Bench(dut), [], []

    async def send(ctx):
        taken.extend(await bench.send(ctx, dut.i, sent, stall))

    async def receive(ctx):
        await listen(ctx, dut, len(sent), found)

    bench.run(send, receive)
    assert found == sent
    if not stall:
        gaps = {b - a for a, b in pairwise(taken)}
        assert gaps == {10 * divisor + 1}


async def put(ctx, dut, bits, cycles):
    """Bits of so many cycles each, a fraction too; ends where the last one does."""
    now = 0
    for number, bit in enumerate(bits, 1):
        ctx.set(dut.line, bit)
        while now < round(number * cycles):
            await ctx.tick()
            now += 1


@pytest.mark.parametrize("ratio", (0.96, 0.98, 1.0, 1.02, 1.04))
def test_clocks_that_differ(ratio):
    dut, found = UartReceiver(50), []
    sent = [0, 255, 85, 170, 1, 128]

    async def send(ctx):
        for byte in sent:
            await put(ctx, dut, [0, *(byte >> i & 1 for i in range(8)), 1], 50 * ratio)

    async def receive(ctx):
        await listen(ctx, dut, len(sent), found)

    Bench(dut).run(send, receive)
    assert found == sent


def test_what_is_no_byte():
    dut, found = UartReceiver(20), []

    async def send(ctx):
        await put(ctx, dut, [0], 6)  # a spike
        await put(ctx, dut, [1], 50)
        await put(ctx, dut, [0] * 9 + [0], 20)  # no stop bit
        await put(ctx, dut, [1] * 12, 20)
        await put(ctx, dut, [0, 1, 0, 1, 0, 0, 0, 0, 0, 1], 20)
        await put(ctx, dut, [1] * 12, 20)

    async def receive(ctx):
        await listen(ctx, dut, 1, found)
        await ctx.tick().repeat(100)

    Bench(dut).run(send, receive)
    assert found == [5]


@pytest.mark.parametrize("kind", (UartReceiver, UartTransmitter))
def test_conversion(kind):
    assert rtlil.convert(kind(16))
