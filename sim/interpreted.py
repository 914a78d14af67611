"""The same machine in Amaranth's own simulator: slow, but it needs no compiler."""

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from amaranth.hdl import ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from sim.bus import LATENCY_LIMIT, as_words, check_block, late

__all__ = ["InterpretedModel"]

_Action = Callable[[Any], Awaitable[Any]]


class InterpretedModel:
    """A component in Amaranth's simulator, with the methods of :class:`sim.compiled.CompiledModel`.

    Cycles pass only inside the methods, exactly as many as in the compiled model.

    Parameters
    ----------
    component : wiring.Component
    name : str
        For messages.
    """

    def __init__(self, component: wiring.Component, name: str) -> None:
        self.name = name
        self.cycles = 0
        self._action: _Action | None = None
        self._result: Any = None
        reset = Signal()
        self._ports: dict[str, Value] = {"rst": reset}
        self._inputs = {"rst"}
        for path, member, value in component.signature.flatten(component):
            port = "__".join(str(part) for part in path)
            self._ports[port] = Value.cast(value)
            if member.flow is wiring.In:
                self._inputs.add(port)
        self._simulator = Simulator(ResetInserter(reset)(component))
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._serve, background=True)
        self._simulator.advance()  # starts the testbench; no time passes

    async def _serve(self, ctx) -> None:
        while True:
            if self._action is not None:
                self._result = await self._action(ctx)
                self._action = None
            # Without time passing, so that the next action starts where this one ended.
            await ctx.delay(0)

    def _run(self, action: _Action) -> Any:
        self._action = action
        while self._action is not None:
            self._simulator.advance()
        return self._result

    async def _cycle(self, ctx) -> None:
        await ctx.tick()
        self.cycles += 1

    def reset(self) -> None:
        """One cycle of reset: every register that has one; memories keep their contents."""
        self.set("rst", 1)
        self.tick()
        self.set("rst", 0)

    def tick(self, cycles: int = 1) -> None:
        """Let so many clock cycles pass."""

        async def action(ctx) -> None:
            for _ in range(cycles):
                await self._cycle(ctx)

        self._run(action)

    def idle(self) -> None:
        """Some cycles, for a driver that waits."""
        self.tick(1 << 6)

    def get(self, port: str) -> int:
        """Value of a port, as an unsigned integer."""
        place = self._ports[port].as_unsigned()

        async def action(ctx) -> int:
            return ctx.get(place)

        return self._run(action)

    def set(self, port: str, value: int) -> None:
        """Drive an input."""
        place = self._ports[port].as_unsigned()
        if port not in self._inputs:
            raise ValueError(f"{self.name}: {port} is an output")
        if not 0 <= value < 1 << len(place):
            raise ValueError(f"{self.name}: {port} has {len(place)} bits, {value} needs others")

        async def action(ctx) -> None:
            ctx.set(place, value)

        self._run(action)

    def run_until(self, port: str, mask: int, value: int, limit: int) -> int:
        """Cycles until ``port & mask == value``; 0 if it is so now.

        Raises
        ------
        TimeoutError
            If it is not so after ``limit`` cycles.
        """
        place = self._ports[port].as_unsigned()

        async def action(ctx) -> int | None:
            for passed in range(limit):
                if ctx.get(place) & mask == value:
                    return passed
                await self._cycle(ctx)
            return limit if ctx.get(place) & mask == value else None

        passed = self._run(action)
        if passed is None:
            raise TimeoutError(
                f"{self.name}: {port} & {mask:#x} is not {value:#x} after {limit} cycles"
            )
        return passed

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words to consecutive addresses of the host bus, one a cycle."""
        words = as_words(words)
        check_block(address, words.size)
        bus_address, bus_data = self._ports["bus__address"], self._ports["bus__write_data"]
        strobe = self._ports["bus__write"]

        async def action(ctx) -> None:
            for offset, word in enumerate(words.tolist()):
                ctx.set(strobe, 1)
                ctx.set(bus_address, address + offset)
                ctx.set(bus_data, word)
                await self._cycle(ctx)
            ctx.set(strobe, 0)

        self._run(action)

    def read(self, address: int, count: int) -> np.ndarray:
        """Read ``count`` uint32 words from consecutive addresses: count + latency - 1 cycles.

        Raises
        ------
        TimeoutError
            If the machine does not answer.
        """
        check_block(address, count)
        strobe, bus_address = self._ports["bus__read"], self._ports["bus__address"]
        data, valid = self._ports["bus__read_data"], self._ports["bus__read_valid"]
        words: list[int] = []

        async def action(ctx) -> None:
            for passed in range(count + LATENCY_LIMIT):
                if len(words) == count:
                    break
                ctx.set(strobe, passed < count)
                if passed < count:
                    ctx.set(bus_address, address + passed)
                await self._cycle(ctx)
                if ctx.get(valid):
                    words.append(ctx.get(data))
            ctx.set(strobe, 0)

        self._run(action)
        if len(words) != count:
            raise late(self.name, address, count, len(words))
        return np.array(words, np.uint32)
