import random

import pytest
from amaranth.back import rtlil

from rtl.features import FeatureMemory
from sim.bench import Bench

BITS, WORDS = 24, 16


def contents():
    generator = random.Random(7)
    return [generator.getrandbits(BITS) for _ in range(2 * WORDS)]


async def load(ctx, dut, words):
    ctx.set(dut.host.write, 1)
    for address, word in enumerate(words):
        ctx.set(dut.host.address, address)
        ctx.set(dut.host.write_data, word)
        await ctx.tick()
    ctx.set(dut.host.write, 0)


@pytest.mark.parametrize("bank", [0, 1])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_two_readers_and_a_writer(bank, stall):
    dut = FeatureMemory(BITS, WORDS)
    bench = Bench(dut)
    words = contents()
    generator = random.Random(bank)
    # Both use the lower half of a bank; outputs go to the upper halves, as of a compiled program.
    count = 40
    activations = [bank * WORDS + generator.randrange(8) for _ in range(count)]
    # The bank bit of the residual is not looked at.
    residuals = [generator.randrange(2) * WORDS + generator.randrange(8) for _ in range(count)]
    outputs = [(b * WORDS + 8 + k, generator.getrandbits(BITS)) for b in (0, 1) for k in range(8)]
    got, sent = {}, {}

    async def loader(ctx):
        ctx.set(dut.bank, bank)
        await load(ctx, dut, words)

    def reader(name, addresses):
        async def sender(ctx):
            await ctx.tick().repeat(len(words))
            stream = getattr(dut, f"{name}_address")
            sent[name] = await bench.send(ctx, stream, addresses, stall)

        async def receiver(ctx):
            got[name] = await bench.receive(ctx, getattr(dut, name), count, stall)

        return sender, receiver

    async def writer(ctx):
        await ctx.tick().repeat(len(words))
        ctx.set(dut.write, 1)
        for address, word in outputs:
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)

    bench.run(loader, *reader("activation", activations), *reader("residual", residuals), writer)
    assert got["activation"].values == [words[address] for address in activations]
    other = (1 - bank) * WORDS
    assert got["residual"].values == [words[other + address % WORDS] for address in residuals]
    if stall == 0:
        for name in ("activation", "residual"):
            assert got[name].cycles == [cycle + dut.latency for cycle in sent[name]]
            assert sent[name] == list(range(sent[name][0], sent[name][0] + count))

    after = list(words)
    for address, word in outputs:
        after[address] = word

    async def read_back(ctx):
        await load(ctx, dut, words)
        await writer(ctx)
        ctx.set(dut.host.read, 1)
        for address, word in enumerate(after):
            ctx.set(dut.host.address, address)
            await ctx.tick()
            assert ctx.get(dut.host.read_data) == word

    Bench(dut).run(read_back)


def test_conversion():
    rtlil.convert(FeatureMemory(BITS, WORDS))
