import gc
import random

import pytest
from amaranth.back import rtlil
from amaranth.hdl import signed
from amaranth.lib import data

from rtl.queue import Queue
from sim.bench import Bench

WORD = data.StructLayout({"a": 7, "b": signed(40)})
SHAPES = [(2, 1), (4, 1), (8, 3), (16, 15)]


def words(count):
    generator = random.Random(count)
    return [{"a": n % 128, "b": generator.randrange(-(2**39), 2**39)} for n in range(count)]


def predicted(writes, ready, depth, reserve):
    """Room, valid and the number of the word at the output, in each cycle.

    A word leaves the memory one cycle after it was written or when the word before it is taken,
    whichever is later, and is at the output from the next cycle on.
    """
    room, valid, head = [], [], []
    written, left, taken = [], [], []
    free = []
    for cycle, is_ready in enumerate(ready):
        occupied = sum(w < cycle for w in written) - sum(v < cycle for v in left)
        free.append(depth - occupied)
        room.append(int(cycle > 0 and free[-2] > reserve))
        valid.append(int(len(taken) < len(left)))
        head.append(len(taken))
        if valid[-1] and is_ready:
            taken.append(cycle)
        if len(left) < len(written) and len(taken) == len(left):
            left.append(cycle)
        if writes[cycle]:
            assert occupied < depth or left[-1:] == [cycle], "the test writes into a full queue"
            written.append(cycle)
    return room, valid, head


def play(depth, reserve, writes, ready):
    """Write in the given cycles, take in the given cycles; compare every cycle."""
    dut = Queue(WORD, depth, reserve)
    sent = words(sum(writes))
    following = iter(sent)
    rows = [
        {"write": write, "o.ready": is_ready} | ({"data": next(following)} if write else {})
        for write, is_ready in zip(writes, ready)
    ]
    shown = Bench(dut).played(rows, ["room", "o.valid", "o.payload"])
    room, valid, head = predicted(writes, ready, depth, reserve)
    assert shown["room"] == room
    assert shown["o.valid"] == valid
    for is_valid, number, word in zip(valid, head, shown["o.payload"]):
        if is_valid:
            assert word == sent[number]
    return shown


def random_cycles(depth, share, cycles, seed):
    """Writes into whatever is free by the word count alone, and takes with a share of stalls."""
    generator = random.Random(seed)
    writes, ready, level, out = [], [], 0, False
    busy = False
    for _ in range(cycles):
        if generator.random() < 0.2:
            busy = generator.random() < 0.6
        ready.append(int(generator.random() >= share))
        leaves = level > 0 and (not out or ready[-1])
        out = leaves or (out and not ready[-1])
        writes.append(int(busy and level - leaves < depth))
        level += writes[-1] - leaves
    return writes, ready


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("depth, reserve", SHAPES)
def test_every_cycle(depth, reserve, share):
    for seed in range(2):
        play(depth, reserve, *random_cycles(depth, share, 200, seed))


@pytest.mark.parametrize("depth, reserve", SHAPES)
def test_latency_and_throughput(depth, reserve):
    writes = [0, 1, 0, 0, 0, *[1] * 30, 0, 0]
    shown = play(depth, reserve, writes, [1] * len(writes))
    assert shown["o.valid"] == [0] * Queue.latency + writes[: -Queue.latency]


@pytest.mark.parametrize("depth, reserve", SHAPES)
def test_full_and_empty_again(depth, reserve):
    """The memory holds `depth` words, the output one more; full, it takes and gives at once."""
    fill, swap, drain = depth + 1, 2 * depth, depth + 3
    writes = [1] * fill + [0, 0] + [1] * swap + [0] * drain
    ready = [0] * (fill + 2) + [1] * (swap + drain)
    shown = play(depth, reserve, writes, ready)
    # A word leaves every cycle, to the last one.
    assert shown["o.valid"] == [0, 0] + [1] * (2 * fill + swap) + [0, 0]


@pytest.mark.parametrize("depth, under_way", [(8, 1), (8, 6), (16, 9), (4, 2)])
def test_room_for_all_that_is_under_way(depth, under_way):
    """A sender whose words take a while fills the queue and loses none."""
    dut = Queue(WORD, depth, under_way + 1)
    bench = Bench(dut)
    sent = words(150)
    started = 0

    async def send(ctx):
        nonlocal started
        pipeline = [None] * under_way
        while started < len(sent) or any(pipeline):
            ctx.set(dut.write, pipeline[0] is not None)
            if pipeline[0] is not None:
                ctx.set(dut.data, pipeline[0])
            *_, room = await ctx.tick().sample(dut.room)
            starts = room and started < len(sent)
            pipeline = [*pipeline[1:], sent[started] if starts else None]
            started += starts
        ctx.set(dut.write, 0)

    async def receive(ctx):
        taken = 0
        for _ in range(3):
            await ctx.tick().repeat(2 * depth + under_way)
            # A word on its way to the output may have kept the last one from being started.
            count = started - taken
            assert count in (depth, depth + 1)
            got = await bench.receive(ctx, dut.o, count)
            assert got.values == sent[taken : taken + count]
            taken += count
        rest = await bench.receive(ctx, dut.o, len(sent) - taken, stall=0.5)
        assert rest.values == sent[taken:]

    bench.run(send, receive)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_sizes_that_do_not_work():
    for depth, reserve in ((12, 3), (8, 8), (8, 0), (0, 1), (1, 1)):
        with pytest.raises(ValueError, match=f"depth = {depth}, reserve = {reserve}"):
            Queue(8, depth, reserve)
    # Where the filter holds: what was refused was never used.
    gc.collect()


@pytest.mark.parametrize("depth, reserve", SHAPES)
def test_conversion(depth, reserve):
    rtlil.convert(Queue(WORD, depth, reserve))
