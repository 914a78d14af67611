import random

import pytest
from amaranth.back import rtlil

from rtl.store import Store
from sim.bench import Bench

BITS, DEPTH = 70, 21


async def load(ctx, dut, words):
    """Write words through the host's side."""
    ctx.set(dut.host.write, 1)
    for address, word in enumerate(words):
        ctx.set(dut.host.address, address)
        ctx.set(dut.host.write_data, word)
        await ctx.tick()
    ctx.set(dut.host.write, 0)


def contents(seed=0):
    generator = random.Random(seed)
    words = [generator.getrandbits(BITS) for _ in range(DEPTH)]
    words[0], words[1] = 0, 2**BITS - 1
    return words


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_stream_of_words(stall):
    dut = Store(BITS, DEPTH)
    bench = Bench(dut)
    words = contents()
    generator = random.Random(1)
    addresses = [generator.randrange(DEPTH) for _ in range(60)] + [0, DEPTH - 1]
    sent, received = [], []

    async def sender(ctx):
        await load(ctx, dut, words)
        sent.extend(await bench.send(ctx, dut.address, addresses, stall))

    async def receiver(ctx):
        received.append(await bench.receive(ctx, dut.word, len(addresses), stall))

    bench.run(sender, receiver)
    assert received[0].values == [words[address] for address in addresses]
    if stall == 0:
        assert received[0].cycles == [cycle + dut.latency for cycle in sent]
        assert sent == list(range(sent[0], sent[0] + len(sent)))


def test_write_while_reading():
    dut = Store(BITS, DEPTH)

    async def testbench(ctx):
        await load(ctx, dut, contents())
        old, new = contents()[5], 12345
        ctx.set(dut.write, 1)
        ctx.set(dut.write_address, 5)
        ctx.set(dut.write_data, new)
        ctx.set(dut.address.payload, 5)
        ctx.set(dut.address.valid, 1)
        ctx.set(dut.word.ready, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)
        # Taken in the cycle of the write: the word as it was before.
        assert ctx.get(dut.word.payload) == old
        await ctx.tick()
        assert ctx.get(dut.word.payload) == new

    Bench(dut).run(testbench)


def test_waiting_word_outlives_a_write():
    dut = Store(BITS, DEPTH)

    async def testbench(ctx):
        await load(ctx, dut, contents())
        ctx.set(dut.address.payload, 3)
        ctx.set(dut.address.valid, 1)
        await ctx.tick()
        ctx.set(dut.address.payload, 4)
        ctx.set(dut.write, 1)
        ctx.set(dut.write_address, 3)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.address.ready) == 0
        assert ctx.get(dut.word.payload) == contents()[3]

    Bench(dut).run(testbench)


def test_host_reads():
    dut = Store(BITS, DEPTH)

    async def testbench(ctx):
        await load(ctx, dut, contents())
        ctx.set(dut.host.read, 1)
        for address, word in enumerate(contents()):
            ctx.set(dut.host.address, address)
            await ctx.tick()
            assert ctx.get(dut.host.read_data) == word

    Bench(dut).run(testbench)


def test_all_writes_are_told():
    """``written*`` in the cycle of the write, whether the machine's or the host's."""
    dut = Store(BITS, DEPTH)
    machine = {"write_address": 7, "write_data": 2**BITS - 1}
    host = {"host.address": 20, "host.write_data": 5}
    rows = [
        machine | host | {"write": 0},
        {"write": 1},
        {"write": 0, "host.write": 1},
        {"host.write": 0, "host.read": 1},
        {"host.read": 0, "write": 1},
    ]
    names = ("written", "written_address", "written_data")
    shown = Bench(dut).played(rows, names)
    assert shown["written"] == [0, 1, 1, 0, 1]
    told = list(zip(shown["written_address"], shown["written_data"]))
    assert told[1] == told[4] == (7, 2**BITS - 1)
    assert told[2] == (20, 5)


def test_a_host_takes_the_place_of_the_machine():
    dut = Store(BITS, DEPTH)

    async def testbench(ctx):
        await load(ctx, dut, contents())
        for member in (dut.write, dut.host.write):
            ctx.set(member, 1)
        ctx.set(dut.write_address, 4)
        ctx.set(dut.write_data, 1)
        ctx.set(dut.host.address, 9)
        ctx.set(dut.host.write_data, 2)
        await ctx.tick()
        for member in (dut.write, dut.host.write):
            ctx.set(member, 0)
        ctx.set(dut.host.read, 1)
        ctx.set(dut.address.payload, 3)
        ctx.set(dut.address.valid, 1)
        for address, word in ((4, contents()[4]), (9, 2)):
            ctx.set(dut.host.address, address)
            await ctx.tick()
            assert ctx.get(dut.host.read_data) == word

    Bench(dut).run(testbench)


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_others_read_a_shared_one_while_a_word_waits(stall):
    """In every cycle in which ``reads`` is low; the machine's stream is as without them."""
    dut = Store(BITS, DEPTH, shared=True)
    bench = Bench(dut)
    words = contents()
    generator = random.Random(1)
    addresses = [generator.randrange(DEPTH) for _ in range(80)]
    sent, received, others = [], [], []

    async def fill(ctx):
        ctx.set(dut.host.write, 1)
        for address, word in enumerate(words):
            ctx.set(dut.host.write_address, address)
            ctx.set(dut.host.write_data, word)
            await ctx.tick()
        ctx.set(dut.host.write, 0)

    async def sender(ctx):
        await fill(ctx)
        sent.extend(await bench.send(ctx, dut.address, addresses, stall))

    async def receiver(ctx):
        received.append(await bench.receive(ctx, dut.word, len(addresses), stall))

    async def reader(ctx):
        await ctx.tick().repeat(DEPTH)
        while not received:
            address = generator.randrange(DEPTH)
            # Known within the cycle, as hardware knows it.
            reads = not ctx.get(dut.reads)
            ctx.set(dut.host.read, int(reads))
            ctx.set(dut.host.read_address, address)
            await ctx.tick()
            if reads:
                others.append(ctx.get(dut.host.read_data) == words[address])
            ctx.set(dut.host.read, 0)

    # The reader looks when the others have settled what they do in a cycle.
    bench.run(sender, receiver, reader)
    assert received[0].values == [words[address] for address in addresses]
    assert all(others) and (len(others) > 20 if stall else len(others) <= 2)
    if stall == 0:
        assert received[0].cycles == [cycle + dut.latency for cycle in sent]
        assert sent == list(range(sent[0], sent[0] + len(sent)))


@pytest.mark.parametrize("shared", [False, True])
def test_conversion(shared):
    rtlil.convert(Store(BITS, DEPTH, shared=shared))
