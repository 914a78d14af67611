"""Lets two channels, the host and the machine use one memory."""

from amaranth.hdl import Module, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.store import HostAccess, SharedAccess

__all__ = ["FeatureShare", "WriteShare", "write_layout"]


def write_layout(address_bits: int, bits: int) -> data.StructLayout:
    """A word to write."""
    return data.StructLayout({"address": address_bits, "data": unsigned(bits)})


def take_turns(m: Module, name: str, one, other, free: Value) -> tuple[Signal, Signal]:
    """Grant one of two streams in a cycle that is ``free``, by turns where both wait.

    Returns which it is, also in a cycle that is not free: that is known earlier.
    """
    first, second = Signal(name=f"{name}_first"), Signal(name=f"{name}_second")
    after_first = Signal(name=f"{name}_after_first")
    m.d.comb += [
        first.eq(one.valid & ~(after_first & other.valid)),
        second.eq(other.valid & ~(~after_first & one.valid)),
        one.ready.eq(free & first),
        other.ready.eq(free & second),
    ]
    with m.If(free & (one.valid | other.valid)):
        m.d.sync += after_first.eq(first)
    return first, second


class WriteShare(wiring.Component):
    """Two channels that write a memory which the machine only reads, behind the host's port.

    A word a cycle, latency 0: the host's access first, then the channels, which take turns where
    both wait.

    Parameters
    ----------
    address_bits, bits : int

    Members
    -------
    write_0, write_1 : In(stream of write_layout)
    host : In(HostAccess)
    memory : Out(HostAccess)
    """

    def __init__(self, address_bits: int, bits: int) -> None:
        write = stream.Signature(write_layout(address_bits, bits))
        super().__init__(
            {
                "write_0": In(write),
                "write_1": In(write),
                "host": In(HostAccess(address_bits, bits)),
                "memory": Out(HostAccess(address_bits, bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        host, memory = self.host, self.memory
        free = ~(host.write | host.read)
        first, second = take_turns(m, "write", self.write_0, self.write_1, free)
        m.d.comb += [
            memory.address.eq(host.address),
            memory.write.eq(host.write | (free & (first | second))),
            memory.write_data.eq(host.write_data),
            memory.read.eq(host.read),
            host.read_data.eq(memory.read_data),
        ]
        for turn, write in ((first, self.write_0), (second, self.write_1)):
            with m.If(free & turn):
                m.d.comb += [
                    memory.address.eq(write.p.address),
                    memory.write_data.eq(write.p.data),
                ]
        return m


class FeatureShare(wiring.Component):
    """Two channels that write and read a memory which the machine writes and reads.

    A word is written and another read in a cycle, latency 0. Of either kind the machine's access
    comes first, then the host's, then those of the channels, which take turns where both wait. The
    machine's do not pass through here: ``machine_writes`` and ``machine_reads`` tell of them.

    Which address and word stand at ``memory`` does not hang on what the machine does, which is
    known late; only whether they are read and written does.

    Parameters
    ----------
    address_bits, bits : int

    Members
    -------
    write_0, write_1 : In(stream of write_layout)
    read_0, read_1 : In(stream of address)
        The word is ``memory.read_data`` in the next cycle.
    machine_writes, machine_reads : In(1)
        The machine may write, or reads, in this cycle.
    host : In(HostAccess)
        While the machine does not run.
    memory : Out(SharedAccess)
    """

    def __init__(self, address_bits: int, bits: int) -> None:
        write = stream.Signature(write_layout(address_bits, bits))
        super().__init__(
            {
                "write_0": In(write),
                "write_1": In(write),
                "read_0": In(stream.Signature(address_bits)),
                "read_1": In(stream.Signature(address_bits)),
                "machine_writes": In(1),
                "machine_reads": In(1),
                "host": In(HostAccess(address_bits, bits)),
                "memory": Out(SharedAccess(address_bits, bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        host, memory = self.host, self.memory
        may_write = ~(self.machine_writes | host.write)
        may_read = ~(self.machine_reads | host.read)
        writes = take_turns(m, "write", self.write_0, self.write_1, may_write)
        reads = take_turns(m, "read", self.read_0, self.read_1, may_read)
        m.d.comb += [
            memory.write.eq(host.write | (may_write & (writes[0] | writes[1]))),
            memory.write_address.eq(host.address),
            memory.write_data.eq(host.write_data),
            memory.read.eq(host.read | (may_read & (reads[0] | reads[1]))),
            memory.read_address.eq(host.address),
            host.read_data.eq(memory.read_data),
        ]
        for turn, write in zip(writes, (self.write_0, self.write_1)):
            with m.If(turn & ~host.write):
                m.d.comb += [
                    memory.write_address.eq(write.p.address),
                    memory.write_data.eq(write.p.data),
                ]
        for turn, read in zip(reads, (self.read_0, self.read_1)):
            with m.If(turn & ~host.read):
                m.d.comb += memory.read_address.eq(read.payload)
        return m
