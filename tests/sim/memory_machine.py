"""A small machine with a host bus: a memory, a counter that halts, and ports of all widths."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["MemoryMachine"]


class MemoryMachine(wiring.Component):
    """Words ``0 .. depth-1`` are a memory; writing n to word ``depth`` makes it busy n cycles.

    ``sum = a + 1`` through a register, ``echo = wide`` without one. Reads take ``latency`` cycles.
    """

    def __init__(self, depth: int = 64, latency: int = 3) -> None:
        self.depth = depth
        self.latency = latency
        bus = wiring.Signature(
            {
                "address": Out(26),
                "write": Out(1),
                "write_data": Out(32),
                "read": Out(1),
                "read_data": In(32),
                "read_valid": In(1),
            }
        )
        ports = {"busy": Out(1), "wide": In(100), "echo": Out(100), "a": In(12), "sum": Out(40)}
        super().__init__({"bus": In(bus), **ports})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        bus, left = self.bus, Signal(32)
        m.d.comb += [
            write.addr.eq(bus.address),
            write.data.eq(bus.write_data),
            write.en.eq(bus.write & (bus.address < self.depth)),
            read.addr.eq(bus.address),
            read.en.eq(1),
            self.busy.eq(left != 0),
            self.echo.eq(self.wide),
        ]
        m.d.sync += [left.eq(Mux(self.busy, left - 1, 0)), self.sum.eq(self.a + 1)]
        with m.If(bus.write & (bus.address == self.depth)):
            m.d.sync += left.eq(bus.write_data)
        valid, data = Signal(self.latency), [read.data]
        m.d.sync += valid.eq(Cat(bus.read, valid))
        for stage in range(1, self.latency):
            data.append(Signal(32, name=f"data_{stage}"))
            m.d.sync += data[stage].eq(data[stage - 1])
        m.d.comb += [bus.read_valid.eq(valid[-1]), bus.read_data.eq(data[-1])]
        return m
