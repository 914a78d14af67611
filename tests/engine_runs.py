"""Runs of an engine that tests of several engines share."""

from collections.abc import Sequence

from sim.bench import Bench, plain

__all__ = ["sums_after_an_abandoned_run"]


def sums_after_an_abandoned_run(
    dut, settings: dict[str, int], left: Sequence, codes, activations, words: int
) -> list:
    """The first ``words`` of sums of a run of ``codes`` and ``activations``.

    The run before it, of the same settings, was given up after the weights, activations and weights
    of ``left``, in this order.
    """
    bench, got = Bench(dut), []

    async def testbench(ctx):
        ctx.set(dut.settings, settings)
        before, between, after = left
        await bench.send(ctx, dut.weights, before)
        await bench.send(ctx, dut.activations, between)
        await bench.send(ctx, dut.weights, after)
        await ctx.tick().repeat(dut.latency)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await bench.send(ctx, dut.weights, codes)

    async def activate(ctx):
        # Behind the words of the run that was given up.
        await ctx.tick().until(dut.start)
        await bench.send(ctx, dut.activations, activations)

    async def collect(ctx):
        await ctx.tick().until(dut.start)
        while len(got) < words:
            *_, valid, word = await ctx.tick().sample(dut.valid, dut.sums)
            if valid:
                got.append(plain(word))

    bench.run(testbench, activate, collect)
    return got
