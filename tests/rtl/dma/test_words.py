import random

import pytest
from amaranth.back import rtlil

from rtl.dma.words import Packer, StoreReader, beats_of, word_from
from rtl.registers import Region
from sim.bench import Bench
from tests.rtl.dma.bench import config


def test_beats_and_words():
    generator = random.Random(0)
    for bits in (1, 63, 64, 65, 200):
        word = generator.getrandbits(bits)
        assert word_from(beats_of(word, bits, 64), bits, 64) == word
        assert len(beats_of(word, bits, 64)) == -(-bits // 64)


def packed(indices, stall):
    """Words of these regions through a packer: their last beats, beats and words with cycles."""
    ports = config()
    dut = Packer(ports)
    generator = random.Random(2)
    beats, places, wanted = [], [], []
    for n, index in enumerate(indices):
        region, _, bits = ports.regions[index]
        own = [generator.getrandbits(64) for _ in range(ports.beats(bits))]
        place = {"address": generator.getrandbits(24), "last": n % 3 == 0}
        beats += own
        places.append({"region": region, **place})
        wanted.append((1 << index, place["address"], n % 3 == 0, word_from(own, bits, 64), bits))
    sent, received = Bench(dut).transfer(
        {"i": beats, "place": places}, {"o": len(wanted)}, stall=stall
    )
    for word, (to, address, last, value, bits) in zip(received["o"].values, wanted):
        assert (word["to"], word["address"], word["last"]) == (to, address, last)
        assert word["data"] & (1 << bits) - 1 == value
    return list(accumulated(ports, places)), sent["i"], received["o"].cycles


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_packer(stall):
    """Words of 1, 2 and 4 beats in any order; what fills the last beat is anything."""
    generator = random.Random(3)
    packed([generator.randrange(4) for _ in range(80)], stall)


def test_packer_takes_a_beat_a_cycle():
    """Where words have several, in any order."""
    generator = random.Random(4)
    wide = [n for n, (_, _, bits) in enumerate(config().regions) if config().beats(bits) > 1]
    ends, sent, received = packed([generator.choice(wide) for _ in range(40)], 0)
    assert sent == list(range(sent[0], sent[0] + len(sent)))
    assert received == [sent[end] + Packer.latency for end in ends]


def test_packer_takes_two_words_of_a_beat_in_three_cycles():
    narrow = next(n for n, (_, _, bits) in enumerate(config().regions) if bits <= 64)
    _, sent, _ = packed([narrow] * 40, 0)
    assert sent[-1] - sent[0] == pytest.approx(39 * 1.5, abs=1)


def accumulated(ports, places):
    """Index of the last beat of each word."""
    at = -1
    for place in places:
        at += ports.beats(ports.bits_of(place["region"]))
        yield at


@pytest.mark.parametrize("bits", [8, 64, 128, 300])
@pytest.mark.parametrize("busy", [0.0, 0.5])
def test_store_reader(bits, busy):
    """No beat finds the queue full, and where all are free there is a beat a cycle."""
    ports = config(bits=(64, 24, 200, bits))
    room = 2 * ports.axi.burst
    dut = StoreReader(ports, room)
    bench = Bench(dut)
    generator = random.Random(bits)
    contents = [generator.getrandbits(bits) for _ in range(40)]
    wanted = [beat for word in contents for beat in beats_of(word, bits, 64)]
    got, cycles = [], []

    async def memory(ctx):
        asked = None
        while len(got) < len(wanted):
            ctx.set(dut.memory.ready, int(generator.random() >= busy))
            ctx.set(dut.read_data, generator.getrandbits(bits) if asked is None else asked)
            *_, valid, ready, address = await ctx.tick().sample(
                dut.memory.valid, dut.memory.ready, dut.memory.payload
            )
            asked = contents[address] if valid and ready else None

    async def places(ctx):
        words = [{"region": Region.FEATURES, "address": n} for n in range(len(contents))]
        await bench.send(ctx, dut.place, words)

    async def queue(ctx):
        held = 0
        while len(got) < len(wanted):
            leaves = held > 0 and generator.random() >= busy
            ctx.set(dut.left, int(leaves))
            *_, valid, beat, cycle = await ctx.tick().sample(dut.valid, dut.beat, bench.cycle)
            held += valid - leaves
            assert held <= room
            if valid:
                got.append(beat)
                cycles.append(cycle)

    bench.run(memory, places, queue)
    assert got == wanted
    if busy == 0:
        assert cycles[-1] - cycles[0] == len(wanted) - 1


def test_conversion():
    for dut in (Packer(config()), StoreReader(config(), 32)):
        rtlil.convert(dut)
