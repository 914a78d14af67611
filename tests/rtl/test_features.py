import random

import pytest
from amaranth.back import rtlil

from rtl.features import FeatureMemory, bank_count
from sim.bench import Bench

BITS, WORDS = 24, 32
SIZES = [(1, 1), (2, 1), (1, 2), (2, 3), (4, 2), (2, 4)]


def test_banks_hold_a_vector():
    assert [bank_count(words) for words in range(1, 9)] == [1, 2, 4, 4, 8, 8, 8, 8]


def contents(seed=7):
    generator = random.Random(seed)
    return [generator.getrandbits(BITS) for _ in range(WORDS)]


async def load(ctx, dut, words):
    ctx.set(dut.host.write, 1)
    for address, word in enumerate(words):
        ctx.set(dut.host.address, address)
        ctx.set(dut.host.write_data, word)
        await ctx.tick()
    ctx.set(dut.host.write, 0)


async def read_back(ctx, dut):
    ctx.set(dut.host.read, 1)
    words = []
    for address in range(WORDS):
        ctx.set(dut.host.address, address)
        await ctx.tick()
        words.append(ctx.get(dut.host.read_data))
    ctx.set(dut.host.read, 0)
    return words


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("groups, vector_words", SIZES)
def test_groups_residuals_and_a_writer_at_once(groups, vector_words, stall):
    """Every bank of every group reads an index of its own, all at once, while words change."""
    dut = FeatureMemory(BITS, WORDS, groups, vector_words)
    bench = Bench(dut)
    generator = random.Random(groups)
    count, banks = 60, dut.banks
    rows, expected = [], []
    memory = contents()
    held = None
    versions = [memory]  # in each cycle
    for _ in range(count):
        read = generator.random() >= stall
        index = [[generator.randrange(WORDS // banks) for _ in range(banks)] for _ in range(groups)]
        address, word = generator.randrange(WORDS), generator.getrandbits(BITS)
        # A good part of the words that are read are written in the same cycle.
        if generator.random() < 0.5:
            bank = generator.randrange(banks)
            address = index[0][bank] * banks + bank
        write = generator.random() < 0.7
        expected.append(held)
        if read:
            held = [[memory[i * banks + b] for b, i in enumerate(row)] for row in index]
        if write:
            memory = [*memory]
            memory[address] = word
        versions.append(memory)
        rows.append(
            {
                "read": read,
                "index": index,
                "write": write,
                "write_address": address,
                "write_data": word,
            }
        )
    expected.append(held)
    rows.append({"read": 0, "write": 0})
    residuals = [generator.randrange(WORDS) for _ in range(40)]
    begin, sent, got, after = [], [], [], []

    async def groups_and_writer(ctx):
        await load(ctx, dut, contents())
        begin.append(ctx.get(bench.cycle))
        shown = (await bench.play(ctx, rows, ["word"]))["word"]
        # Nothing has been read before the first `read`.
        assert all(now == word for now, word in zip(shown, expected) if word is not None)

    async def send(ctx):
        await ctx.tick().repeat(WORDS)
        sent.extend(await bench.send(ctx, dut.residual_address, residuals, stall))

    async def receive(ctx):
        await ctx.tick().repeat(WORDS)
        got.append(await bench.receive(ctx, dut.residual, len(residuals), stall))
        await ctx.tick().repeat(count)
        after.extend(await read_back(ctx, dut))

    bench.run(groups_and_writer, send, receive)
    # A residual is the word as it was before the cycle in which its address was taken.
    wanted = [
        versions[min(cycle - begin[0], count)][address] for cycle, address in zip(sent, residuals)
    ]
    assert got[0].values == wanted
    if stall == 0:
        assert got[0].cycles == [cycle + dut.latency for cycle in sent]
        assert sent == list(range(sent[0], sent[0] + len(sent)))
    assert after == memory


@pytest.mark.parametrize("groups, vector_words", SIZES)
def test_host_writes_reach_every_copy(groups, vector_words):
    dut = FeatureMemory(BITS, WORDS, groups, vector_words)
    bench = Bench(dut)
    banks, words = dut.banks, contents(3)

    async def testbench(ctx):
        await load(ctx, dut, words)
        rows = [{"read": 1, "index": [[i] * banks] * groups} for i in range(WORDS // banks)]
        shown = (await bench.play(ctx, [*rows, {}], ["word"]))["word"]
        for group in range(groups):
            assert [word for vectors in shown[1:] for word in vectors[group]] == words
        assert await read_back(ctx, dut) == words

    bench.run(testbench)


def test_a_shared_one_is_written_and_read_at_once():
    """Others' words reach every copy; a residual waits meanwhile."""
    dut = FeatureMemory(BITS, WORDS, 2, 2, shared=True)
    words = contents(5)

    async def testbench(ctx):
        ctx.set(dut.host.write, 1)
        for address, word in enumerate(words):
            ctx.set(dut.host.write_address, address)
            ctx.set(dut.host.write_data, word)
            # What was given two cycles before is read.
            ctx.set(dut.host.read, int(address > 1))
            ctx.set(dut.host.read_address, max(0, address - 2))
            if address == 4:
                ctx.set(dut.residual_address.valid, 1)
                ctx.set(dut.residual_address.payload, 2)
                ctx.set(dut.host.read, 0)
                await ctx.delay(1e-9)
                assert ctx.get(dut.reads)
            await ctx.tick()
            ctx.set(dut.residual_address.valid, 0)
            assert address in (0, 1, 4) or ctx.get(dut.host.read_data) == words[address - 2]
            assert address < 4 or ctx.get(dut.residual.payload) == words[2]
        ctx.set(dut.host.write, 0)
        await ctx.tick()
        ctx.set(dut.read, 1)
        for group in range(2):
            for bank in range(2):
                ctx.set(dut.index[group][bank], 3)
        await ctx.tick()
        assert [[ctx.get(w) for w in group] for group in dut.word] == [words[6:8]] * 2

    Bench(dut).run(testbench)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("groups, vector_words", SIZES)
def test_conversion(groups, vector_words, shared):
    rtlil.convert(FeatureMemory(BITS, WORDS, groups, vector_words, shared))
