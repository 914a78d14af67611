import random

import pytest
from amaranth.back import rtlil

from rtl.dma.channel import BLOCKS, DmaChannel
from rtl.dma.registers import TransferError
from rtl.registers import Region
from tests.rtl.dma.bench import ChannelBench, config, random_transfers, transfer

ALL = [(512, 4096)] * 4


@pytest.mark.parametrize(
    ("stall", "machine_stall", "order"),
    [(0.0, 0.0, "any"), (0.5, 0.3, "any"), (0.3, 0.7, "address"), (0.6, 0.0, "data")],
)
def test_random_transfers(stall, machine_stall, order):
    bench = ChannelBench(
        config(), machine_stall=machine_stall, stall=stall, latency=7, order=order, seed=4
    )
    transfers = random_transfers(bench.config, [4096] * 4, 20, seed=len(order))
    bench.expect(transfers)
    assert bench.work(transfers) is TransferError.NONE
    bench.check()
    assert len(bench.ended) == len(transfers)


@pytest.mark.parametrize(
    ("burst", "outstanding", "data_bits"), [(2, 1, 32), (16, 1, 64), (256, 2, 64), (8, 8, 128)]
)
def test_other_ports(burst, outstanding, data_bits):
    """Longest bursts of 2 beats and of 256; beats of 4 and 16 bytes; one burst at a time."""
    ports = config(bits=(64, 24, 60, 50), burst=burst, outstanding=outstanding, data_bits=data_bits)
    bench = ChannelBench(ports, stall=0.2, seed=2)
    transfers = random_transfers(ports, [4096] * 4, 16, seed=burst)
    bench.expect(transfers)
    assert bench.work(transfers) is TransferError.NONE
    bench.check()


@pytest.mark.parametrize("store", [0, 1])
def test_a_beat_a_cycle(store):
    """Long transfers at a memory of 40 cycles latency: the bus never waits for the channel."""
    bench = ChannelBench(config(outstanding=8), latency=40)
    # A store's first burst is not shorter than the others: those must all be there to begin.
    offset = 0 if store else 3
    transfers = [transfer(words=250, store=store, offset=n * 512 + offset) for n in range(2)]
    bench.expect(transfers)
    assert bench.work(transfers) is TransferError.NONE
    bench.check()
    cycles = bench.memory.write_cycles if store else bench.memory.read_cycles
    assert len(cycles) == 1000
    # A store begins when the one before it has ended; loads follow without a gap.
    whole = [cycles[:500], cycles[500:]] if store else [cycles]
    for beats in whole:
        assert beats[-1] - beats[0] == len(beats) - 1


def test_rows_keep_the_rate():
    """Rows of a tile, two beats each: a burst in two cycles is enough for a beat a cycle."""
    bench = ChannelBench(config(outstanding=16), latency=10)
    tile = transfer(words=1, rows=200, offset=2, memory_stride=18, address_stride=2)
    bench.expect([tile])
    assert bench.work([tile]) is TransferError.NONE
    bench.check()
    beats = bench.memory.read_cycles
    assert len(beats) == 400 and beats[-1] - beats[0] < 420


def test_small_loads_overlap():
    """The bursts of a load are asked for while the words of those before it still come."""
    bench = ChannelBench(config(), latency=60)
    transfers = [transfer(offset=20 * n, address=n) for n in range(12)]
    bench.expect(transfers)
    assert bench.work(transfers) is TransferError.NONE
    bench.check()
    assert bench.ended[-1] - bench.ended[0] < len(transfers) * 60 / 2
    assert BLOCKS > 1


def test_a_transfer_sees_what_those_before_it_wrote():
    """To external memory and back, again and again, without anyone waiting."""
    transfers = []
    for n in range(6):
        transfers.append(transfer(store=1, words=5, address=10 * n, offset=7))
        transfers.append(transfer(words=5, address=10 * n + 10, offset=7))
    bench = ChannelBench(config(), stall=0.3, latency=20)
    bench.expect(transfers)
    assert bench.work(transfers) is TransferError.NONE
    bench.check()
    features = bench.regions[Region.FEATURES]
    assert features[60:65] == features[0:5]


def test_bursts_meet_4096_bytes():
    """Rows on both sides of a border, and at it."""
    base = 512 - 40
    bench = ChannelBench(config(burst=256), buffers=[(base, 1024)] * 4)
    transfers = [transfer(words=60, offset=offset) for offset in (0, 24, 32, 39, 40, 41)]
    bench.expect(transfers)
    assert bench.work(transfers) is TransferError.NONE
    bench.check()
    ends = {first + beats for _, first, beats in bench.memory.bursts}
    assert 512 in ends  # the memory asserts that none goes on behind it


def refused():
    """Transfers that are refused; of the buffers 0 has 1000 beats, 1 none, 3 one too many."""
    features, weights = 512, 300
    good = {"words": 3, "rows": 4, "memory_stride": 10, "address_stride": 5}
    return [
        (transfer(region=0), TransferError.NO_SUCH_REGION),
        (transfer(region=5), TransferError.NO_SUCH_REGION),
        (transfer(region=7), TransferError.NO_SUCH_REGION),
        (transfer(region=Region.WEIGHTS, store=1), TransferError.NO_SUCH_REGION),
        (transfer(words=0), TransferError.EMPTY),
        (transfer(rows=0), TransferError.EMPTY),
        (transfer(**good, address=features - 17), TransferError.OUTSIDE_REGION),
        (transfer(address=features), TransferError.OUTSIDE_REGION),
        (transfer(address=2**24 - 1, words=2), TransferError.OUTSIDE_REGION),
        (transfer(rows=2**16 - 1, address_stride=2**24 - 1), TransferError.OUTSIDE_REGION),
        # Strides whose multiples come round to a small number.
        (transfer(rows=2**8 + 1, address_stride=2**17), TransferError.OUTSIDE_REGION),
        (
            transfer(region=Region.WEIGHTS, address=weights - 1, words=2),
            TransferError.OUTSIDE_REGION,
        ),
        (transfer(**good, offset=1000 - 35), TransferError.OUTSIDE_BUFFER),
        (transfer(offset=999), TransferError.OUTSIDE_BUFFER),
        (transfer(offset=2**29 - 1), TransferError.OUTSIDE_BUFFER),
        (
            transfer(rows=2, address_stride=1, memory_stride=2**24 - 1),
            TransferError.OUTSIDE_BUFFER,
        ),
        (
            transfer(rows=2**9 - 1, address_stride=0, memory_stride=2**24 - 1),
            TransferError.OUTSIDE_BUFFER,
        ),
        (
            transfer(rows=2**7 + 1, address_stride=0, memory_stride=2**23),
            TransferError.OUTSIDE_BUFFER,
        ),
        (transfer(base=1), TransferError.OUTSIDE_BUFFER),
        (transfer(base=3), TransferError.OUTSIDE_BUFFER),
    ]


@pytest.mark.parametrize("bad", range(len(refused())))
def test_refused_before_anything_is_issued(bad):
    """The transfers before it end, nothing of it and of those behind it begins."""
    buffers = [(512, 1000), (0, 0), (2**29 - 100, 100), (2**29 - 100, 101)]
    bench = ChannelBench(config(), buffers=buffers, stall=0.2)
    wrong, error = refused()[bad]
    good = [transfer(words=3, address=5, offset=990), transfer(base=2, offset=98)]
    bench.expect(good)
    assert bench.work([*good, wrong, transfer(words=9)]) is error
    bench.check()
    assert len(bench.ended) == len(good) and bench.memory.quiet


@pytest.mark.parametrize("store", [0, 1])
@pytest.mark.parametrize("response", [2, 3])
@pytest.mark.parametrize("beat", [0, 17, 99])
def test_bus_errors(store, response, beat):
    """The channel stops with a code, finishes what is under way and is as new after a reset."""
    bench = ChannelBench(
        config(), stall=0.2, errors={1024 + beat: response}, latency=12, machine_stall=0.2
    )
    bad = transfer(store=store, words=50, offset=512)
    codes = {
        (0, 2): TransferError.READ_SLVERR,
        (0, 3): TransferError.READ_DECERR,
        (1, 2): TransferError.WRITE_SLVERR,
        (1, 3): TransferError.WRITE_DECERR,
    }
    before, after = transfer(words=7, address=100), transfer(words=7, address=200)

    async def main(ctx):
        await bench.send(ctx, [before, bad, after])
        await bench.until(ctx, bench.dut.error)
        assert ctx.get(bench.dut.error) == codes[store, response]
        await ctx.tick().repeat(300)
        assert bench.memory.quiet and not ctx.get(bench.dut.idle)
        assert len(bench.ended) == 1
        bursts = len(bench.memory.bursts)
        await ctx.tick().repeat(50)
        assert len(bench.memory.bursts) == bursts
        await bench.reset(ctx)
        assert ctx.get(bench.dut.error) == TransferError.NONE
        await bench.send(ctx, [after])
        await ctx.tick().repeat(3)
        await bench.until(ctx, bench.dut.idle)
        assert bench.counters(ctx)["transfers"] == 1

    bench.run(main)
    bench.expect([before, after])
    expected = bench.expected[1][Region.FEATURES]
    found = bench.regions[Region.FEATURES]
    assert found[100:107] == expected[100:107] and found[200:207] == expected[200:207]
    if store:
        assert found == expected


@pytest.mark.parametrize("store", [0, 1])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_reset_at_any_time(store, stall):
    """At many times in two transfers, while the machine's memories never answer or do."""
    generator = random.Random(store)
    bench = ChannelBench(config(), stall=stall, latency=5, machine_stall=0.3)
    first = transfer(words=14, store=store, offset=30)
    second = transfer(words=9, rows=2, store=1 - store, memory_stride=30, offset=100, address=60)
    after = transfer(words=4, offset=800, address=300)
    outside = [n for n in range(512, 512 + 4096) if not 30 <= n - 512 < 150]
    kept = {n: bench.external[n] for n in outside}

    async def main(ctx):
        # The first bursts come some 20 cycles behind the transfer.
        for delay in [*range(1, 90, 3 if stall == 0 else 7), 150]:
            await bench.send(ctx, [first, second])
            await ctx.tick().repeat(delay)
            bench.machine_stall = generator.choice((0.0, 1.0))
            await bench.reset(ctx)
            bench.machine_stall = 0.3
            assert bench.memory.quiet
            assert bench.counters(ctx) == dict.fromkeys(bench.counters(ctx), 0)
            bursts = len(bench.memory.bursts)
            await ctx.tick().repeat(2)
            assert len(bench.memory.bursts) == bursts
            written = bench.written
            await bench.send(ctx, [after])
            await ctx.tick().repeat(3)
            await bench.until(ctx, bench.dut.idle)
            assert bench.written == written + 4
            assert ctx.get(bench.dut.error) == TransferError.NONE

    bench.run(main)
    assert {n: bench.external[n] for n in outside} == kept
    bench.expect([after])
    assert bench.regions[Region.FEATURES][300:304] == bench.expected[1][Region.FEATURES][300:304]


def test_counters():
    """Beats and transfers are exact; waits are the cycles in which a word was not taken."""
    bench = ChannelBench(config(), latency=10)
    transfers = [transfer(words=40, offset=5), transfer(store=1, words=30, address=50)]
    seen = {}

    async def main(ctx):
        bench.machine_stall = 1.0
        await bench.send(ctx, transfers)
        await bench.until(ctx, bench.dut.write.valid)
        await ctx.tick().repeat(20)
        bench.machine_stall = 0.0
        await bench.until(ctx, bench.dut.idle)
        # The counters see a cycle late.
        await ctx.tick()
        seen.update(bench.counters(ctx))
        await ctx.tick().repeat(20)
        assert bench.counters(ctx) == seen

    bench.run(main)
    assert seen["transfers"] == 2 and seen["beats"] == 2 * 70
    assert 19 <= seen["waits"] <= 23
    assert seen["beats"] + 20 < seen["busy"] < 300


def test_nothing_waits_in_a_full_queue():
    """All places of the queue are used, and no transfer is lost."""
    bench = ChannelBench(config(), machine_stall=1.0)
    accepted = []

    async def main(ctx):
        ctx.set(bench.dut.transfer.valid, 1)
        for n in range(100):
            ctx.set(bench.dut.transfer.payload, transfer(address=n, offset=2 * n))
            if ctx.get(bench.dut.transfer.ready):
                accepted.append(n)
            await ctx.tick()
        ctx.set(bench.dut.transfer.valid, 0)
        bench.machine_stall = 0.0
        await bench.until(ctx, bench.dut.idle)

    bench.run(main)
    assert bench.config.queue <= len(accepted) < 100
    bench.expect([transfer(address=n, offset=2 * n) for n in accepted])
    bench.check()
    assert len(bench.ended) == len(accepted)


def test_conversion():
    rtlil.convert(DmaChannel(config()))
