"""Rows of inputs through a block of fixed rate."""

from functools import reduce

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from sim.bench import plain

__all__ = ["feed"]


def member(dut, name):
    """A member, also of a stream: ``step.valid``."""
    return reduce(getattr, name.split("."), dut)


def feed(dut, rows, outputs, latency=0):
    """What the members ``outputs`` show ``latency`` cycles after each row of other members.

    Rows are dicts; what a row does not name stays as it was. Returns a list of tuples.
    """
    m = Module()
    m.submodules.dut = dut
    # A block of logic alone has no clock of its own.
    ticking = Signal()
    m.d.sync += ticking.eq(~ticking)
    found = []

    async def bench(ctx):
        members = [member(dut, name) for name in outputs]
        for number in range(len(rows) + latency):
            if number < len(rows):
                for name, value in rows[number].items():
                    ctx.set(member(dut, name), value)
            if number >= latency:
                found.append(tuple(plain(ctx.get(shown)) for shown in members))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found
