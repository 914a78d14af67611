import itertools

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.nest import LoopNest
from sim.bench import Bench, plain

BITS = 10


def random_settings(rng, levels, coordinates, most):
    """Settings with some levels of one iteration, and steps that wrap."""

    def position(low, high):
        return int(rng.integers(low, high, endpoint=True))

    def place():
        named = {"row": position(-4096, 4095), "column": position(-4096, 4095)}
        return named if coordinates else {}

    counts = rng.integers(1, most, levels, endpoint=True)
    return {
        "address": position(0, 2**BITS - 1),
        **place(),
        "levels": [
            {"last": int(k) - 1, "step": position(0, 2**BITS - 1), **place()} for k in counts
        ],
    }


def loops(settings, coordinates):
    """The words of a walk, by loops as a programmer writes them."""
    levels = settings["levels"]
    names = ["address", "row", "column"] if coordinates else ["address"]
    now = {name: settings[name] for name in names}
    before = None
    words = []
    # The last of product's factors turns fastest: level 0.
    for counters in itertools.product(*(range(level["last"] + 1) for level in reversed(levels))):
        counters = counters[::-1]
        if before is not None:
            advanced = next(
                i for i in range(len(levels)) if counters[i] != before[i] and counters[i]
            )
            for name in names:
                now[name] += levels[advanced]["step" if name == "address" else name]
        before = counters
        word = {"address": now["address"] % 2**BITS}
        for name in names[1:]:
            word[name] = (now[name] + 4096) % 8192 - 4096
        word["first"] = [int(c == 0) for c in counters]
        word["last"] = [int(c == level["last"]) for c, level in zip(counters, levels)]
        word["index"] = counters[2] % 16 if len(levels) > 2 else 0
        words.append(word)
    return words


def walk(dut, settings, count, stall=0.0, seed=0):
    bench = Bench(dut, seed=seed)
    done = bench.watch(dut.done)
    received = []

    async def testbench(ctx):
        ctx.set(dut.settings, settings)
        await ctx.tick()
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        received.append(await bench.receive(ctx, dut.o, count, stall))
        for _ in range(3):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()

    bench.run(testbench)
    assert done == [received[0].cycles[-1]]
    return received[0]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(
    "levels, coordinates, most", [(1, False, 40), (3, False, 5), (4, False, 4), (7, True, 2)]
)
def test_walk(levels, coordinates, most, stall):
    rng = np.random.default_rng(levels)
    for seed in range(3):
        dut = LoopNest(levels, BITS, coordinates)
        settings = random_settings(rng, levels, coordinates, most)
        expected = loops(settings, coordinates)
        model = LoopNest.model(settings, BITS)
        for n, word in enumerate(expected):
            assert {name: plain(values[n]) for name, values in model.items()} == word
        received = walk(dut, settings, len(expected), stall, seed)
        assert received.values == expected
        if stall == 0:
            # One word a cycle from the cycle `latency` after the start, which is cycle 1.
            assert received.cycles == [1 + dut.latency + n for n in range(len(expected))]


def test_index_counts_level_2_modulo_16():
    settings = {"address": 0, "levels": [{"last": n, "step": 0} for n in (0, 1, 19, 1)]}
    words = walk(LoopNest(4, BITS), settings, 80).values
    assert [word["index"] for word in words] == [n // 2 % 20 % 16 for n in range(80)]


def test_iterations_beyond_15_bits():
    dut = LoopNest(2, 16)
    settings = {"address": 5, "levels": [{"last": 32768, "step": 1}, {"last": 0, "step": 9}]}
    bench = Bench(dut, limit=40_000)
    done = bench.watch(dut.done)

    async def testbench(ctx):
        ctx.set(dut.settings, settings)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(32767)
        assert not done
        assert ctx.get(dut.o.payload.last[0]) == 0
        await ctx.tick()
        assert ctx.get(dut.o.payload.last[0]) == 1
        assert ctx.get(dut.o.payload.address) == 5 + 32768
        await ctx.tick()
        assert ctx.get(dut.o.valid) == 0

    bench.run(testbench)
    assert done == [32770]


def test_a_start_during_a_walk_does_nothing_and_the_next_may_follow_at_once():
    settings = {"address": 7, "levels": [{"last": 3, "step": 1}, {"last": 1, "step": 10}]}
    dut = LoopNest(2, BITS)
    expected = loops(settings, False)
    bench = Bench(dut)

    async def testbench(ctx):
        ctx.set(dut.settings, settings)
        await ctx.tick()
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            # It stays high: in the middle and in the cycle in which the last word is taken.
            assert (await bench.receive(ctx, dut.o, len(expected))).values == expected
            assert not ctx.get(dut.o.valid)

    bench.run(testbench)


@pytest.mark.parametrize("levels, coordinates", [(1, False), (7, True)])
def test_conversion(levels, coordinates):
    rtlil.convert(LoopNest(levels, BITS, coordinates))
