"""Benches for single blocks in Amaranth's simulator: senders, receivers, stalls, cycle numbers."""

import random
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data
from amaranth.sim import Simulator

__all__ = ["Bench", "Received", "plain"]


class Received(NamedTuple):
    """Words that a stream gave, and the cycle in which each was taken."""

    values: list
    cycles: list[int]


def plain(value: Any) -> Any:
    """A value without types of numpy or Amaranth: ints in lists and dicts.

    >>> plain({"a": np.arange(2), "b": np.int8(-1)})
    {'a': [0, 1], 'b': -1}
    """
    if isinstance(value, data.Const):
        shape = value.shape()
        if isinstance(shape, data.ArrayLayout):
            return [plain(value[i]) for i in range(shape.length)]
        return {name: plain(value[name]) for name, _ in shape}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    # Enumerations of the hardware have an integer value.
    return int(getattr(value, "value", value))


class Bench:
    """A block under test, with its clock counted from cycle 0.

    Parameters
    ----------
    dut : wiring.Component
    seed : int
        Of the stalls: each stream stalls in a pattern of its own, the same at every run.
    limit : int
        Cycles after which a test that has not ended is an error.
    """

    def __init__(self, dut, seed: int = 0, limit: int = 20_000) -> None:
        self.dut = dut
        self.seed = seed
        self.limit = limit
        self.cycle = Signal(32)
        self.streams = 0
        self.unfinished = 0
        self.watched: list[tuple[Value, list[int]]] = []

    def watch(self, condition: Value) -> list[int]:
        """A list that ``run`` fills with the cycles in which ``condition`` is high."""
        cycles: list[int] = []
        self.watched.append((condition, cycles))
        return cycles

    def stalls(self, share: float) -> Iterable[bool]:
        """Endless pattern in which ``share`` of the cycles are stalls, in bursts."""
        self.streams += 1
        generator = random.Random(1000 * self.seed + self.streams)
        stalled = False
        while True:
            if share > 0 and generator.random() < 0.6:
                stalled = generator.random() < share
            yield stalled

    async def send(self, ctx, stream, values: Iterable, stall: float = 0.0) -> list[int]:
        """Put ``values`` into a stream; the cycle in which each was taken.

        ``valid`` is low in about ``stall`` of the cycles in which nothing is offered yet.
        """
        cycles = []
        stalls = iter(self.stalls(stall))
        for value in values:
            if next(stalls):
                ctx.set(stream.valid, 0)
                await ctx.tick()
                while next(stalls):
                    await ctx.tick()
            ctx.set(stream.payload, plain(value))
            ctx.set(stream.valid, 1)
            ready = False
            while not ready:
                *_, cycle, ready = await ctx.tick().sample(self.cycle, stream.ready)
            cycles.append(cycle)
        ctx.set(stream.valid, 0)
        return cycles

    async def receive(self, ctx, stream, count: int, stall: float = 0.0) -> Received:
        """Take ``count`` words; ``ready`` is low in about ``stall`` of the cycles."""
        values: list = []
        cycles: list[int] = []
        stalls = iter(self.stalls(stall))
        ready = None
        while len(values) < count:
            ready, before = not next(stalls), ready
            if ready != before:
                ctx.set(stream.ready, ready)
            *_, cycle, valid, word = await ctx.tick().sample(
                self.cycle, stream.valid, stream.payload
            )
            if ready and valid:
                values.append(plain(word))
                cycles.append(cycle)
        ctx.set(stream.ready, 0)
        return Received(values, cycles)

    def member(self, path: str) -> Any:
        """A member of the block by its dotted path, like ``step.valid``."""
        return reduce(getattr, path.split("."), self.dut)

    async def play(
        self, ctx, rows: Iterable[Mapping[str, Any]], outputs: Iterable[str]
    ) -> dict[str, list]:
        """Drive members of a block of fixed rate, one row a cycle; what the outputs showed.

        Parameters
        ----------
        rows : iterable of dict of path to value
            What changes in this cycle; an empty row lets one cycle pass.
        outputs : iterable of path

        Returns
        -------
        dict of path to list, one plain value for each row: the output in the cycle of the row.
        """
        shown: dict[str, list] = {path: [] for path in outputs}
        members = [self.member(path) for path in shown]
        for row in rows:
            for path, value in row.items():
                ctx.set(self.member(path), plain(value))
            _, _, *values = await ctx.tick().sample(*members)
            for seen, value in zip(shown.values(), values):
                seen.append(plain(value))
        return shown

    def played(self, rows: Iterable[Mapping[str, Any]], outputs: Iterable[str]) -> dict[str, list]:
        """What :meth:`play` gives, as the only testbench, from cycle 0."""
        shown: dict[str, list] = {}

        async def testbench(ctx) -> None:
            shown.update(await self.play(ctx, rows, outputs))

        self.run(testbench)
        return shown

    def transfer(
        self,
        inputs: Mapping[str, Iterable],
        outputs: Mapping[str, int],
        *,
        stall: float = 0.0,
        settings: Mapping[str, Any] | None = None,
        start: str | None = None,
    ) -> tuple[dict[str, list[int]], dict[str, Received]]:
        """Send and receive on several streams at once, until all words are through.

        Parameters
        ----------
        inputs : dict of member to values
        outputs : dict of member to count of words
        stall : float
            Share of stalled cycles of every stream.
        settings : dict of member to value
            Set before the first cycle.
        start : str
            Member that is raised in cycle 0; the streams begin in cycle 1.

        Returns
        -------
        cycles in which each word of each input was taken; what came out at each output.
        """
        sent: dict[str, list[int]] = {}
        received: dict[str, Received] = {}

        async def starter(ctx) -> None:
            for name, value in (settings or {}).items():
                ctx.set(getattr(self.dut, name), plain(value))
            if start is not None:
                ctx.set(getattr(self.dut, start), 1)
                await ctx.tick()
                ctx.set(getattr(self.dut, start), 0)

        def sender(name: str, values: Iterable):
            async def testbench(ctx) -> None:
                if start is not None:
                    await ctx.tick()
                sent[name] = await self.send(ctx, getattr(self.dut, name), values, stall)

            return testbench

        def receiver(name: str, count: int):
            async def testbench(ctx) -> None:
                received[name] = await self.receive(ctx, getattr(self.dut, name), count, stall)

            return testbench

        self.run(
            starter,
            *(sender(name, values) for name, values in inputs.items()),
            *(receiver(name, count) for name, count in outputs.items()),
        )
        return sent, received

    async def monitor(self, ctx) -> None:
        """Fill the watched lists, and end a simulation that lasts too long."""
        for _ in range(self.limit):
            if not self.unfinished:
                return
            _, _, cycle, *high = await ctx.tick().sample(
                self.cycle, *(condition for condition, _ in self.watched)
            )
            for (_, cycles), now in zip(self.watched, high):
                if now:
                    cycles.append(cycle)
        raise TimeoutError(f"the test has not ended after {self.limit} cycles")

    def run(self, *testbenches) -> None:
        """Simulate until all testbenches have ended.

        Errors: ``TimeoutError`` after ``limit`` cycles.
        """
        m = Module()
        m.submodules.dut = self.dut
        m.d.sync += self.cycle.eq(self.cycle + 1)
        self.unfinished = len(testbenches)

        def counted(testbench):
            async def whole(ctx) -> None:
                await testbench(ctx)
                self.unfinished -= 1

            return whole

        simulator = Simulator(m)
        simulator.add_clock(1e-6)
        # A background process that never ends cannot be closed cleanly: the monitor comes last
        # and ends with the others.
        for testbench in (*map(counted, testbenches), self.monitor):
            simulator.add_testbench(testbench)
        simulator.run()
