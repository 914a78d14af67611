"""Memories that a stream of addresses reads and that the host can reach."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HostAccess", "SharedAccess", "Store"]


class HostAccess(wiring.Signature):
    """A host's view of a memory: whole words, while the machine does not run.

    ``read_data`` is valid in the cycle after ``read``. Members are seen from the host.
    """

    def __init__(self, address_bits: int, bits: int) -> None:
        super().__init__(
            {
                "address": Out(address_bits),
                "write": Out(1),
                "write_data": Out(bits),
                "read": Out(1),
                "read_data": In(bits),
            }
        )


class SharedAccess(wiring.Signature):
    """A host's and channels' view of a memory: a word read and another written in a cycle.

    ``read_data`` is valid in the cycle after ``read``. Members are seen from the host.
    """

    def __init__(self, address_bits: int, bits: int) -> None:
        super().__init__(
            {
                "write_address": Out(address_bits),
                "write": Out(1),
                "write_data": Out(bits),
                "read_address": Out(address_bits),
                "read": Out(1),
                "read_data": In(bits),
            }
        )


class Store(wiring.Component):
    """A memory of ``depth`` words: one word read and one written a cycle.

    Without ``machine_writes`` only the host writes. Latency 1 from address to word, throughput 1,
    back-pressure yes. A word that is written in the cycle in which its address is taken is read as
    it was before. Maps onto block RAM in simple dual-port mode. The host's accesses take the place
    of the machine's.

    A ``shared`` one keeps a word that waits in a register, so that others may read in every cycle
    in which ``reads`` is low, also while a word waits. It writes a cycle late, because who writes
    is known late: a word can be read two cycles after it was given.

    Parameters
    ----------
    bits, depth : int
    machine_writes : bool
    parts : int
        Equal parts of a word that may be written alone.
    shared : bool

    Members
    -------
    address : In(stream)
    word : Out(stream)
    write : In(parts), write_address, write_data : In
        The machine's own writes, if there are any.
    written : Out(parts), written_address, written_data : Out
        What the memory writes in this cycle, the machine's word or the host's.
    reads : Out(1)
        If shared: the machine reads in this cycle.
    host : In(HostAccess), or In(SharedAccess) if shared
    """

    latency = 1

    def __init__(
        self,
        bits: int,
        depth: int,
        machine_writes: bool = True,
        parts: int = 1,
        shared: bool = False,
    ) -> None:
        self.parts = parts
        self.bits = bits
        self.depth = depth
        self.machine_writes = machine_writes
        self.shared = shared
        self.address_bits = (depth - 1).bit_length()
        writes = {
            "write": In(parts),
            "write_address": In(self.address_bits),
            "write_data": In(bits),
        }
        super().__init__(
            {
                "address": In(stream.Signature(self.address_bits)),
                "word": Out(stream.Signature(unsigned(bits))),
                "written": Out(parts),
                "written_address": Out(self.address_bits),
                "written_data": Out(bits),
                "host": In((SharedAccess if shared else HostAccess)(self.address_bits, bits)),
                **(writes if machine_writes else {}),
                **({"reads": Out(1)} if shared else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = words = memory.Memory(
            shape=unsigned(self.bits), depth=self.depth, init=[]
        )
        granularity = self.bits // self.parts if self.parts > 1 else None
        read, write = words.read_port(), words.write_port(granularity=granularity)
        host = self.host
        write_address = host.write_address if self.shared else host.address
        m.d.comb += [
            self.address.ready.eq(~self.word.valid | self.word.ready),
            read.en.eq((self.address.valid & self.address.ready) | host.read),
            host.read_data.eq(read.data),
            write.addr.eq(self.written_address),
            write.data.eq(self.written_data),
            write.en.eq(self.written),
        ]
        writes = m.d.sync if self.shared else m.d.comb
        writes += [
            self.written.eq(host.write.replicate(self.parts)),
            self.written_address.eq(write_address),
            self.written_data.eq(host.write_data),
        ]
        if self.machine_writes:
            with m.If(~host.write):
                writes += [
                    self.written.eq(self.write),
                    self.written_address.eq(self.write_address),
                    self.written_data.eq(self.write_data),
                ]
        if self.shared:
            # Others may read in the next cycle: what is not taken at once is kept.
            fresh, kept = Signal(), Signal(self.bits, reset_less=True)
            m.d.comb += [
                self.reads.eq(self.address.valid & self.address.ready),
                # What others read is known late, and what the machine reads goes first.
                read.addr.eq(Mux(self.reads, self.address.payload, host.read_address)),
                self.word.payload.eq(Mux(fresh, read.data, kept)),
            ]
            m.d.sync += fresh.eq(self.reads)
            with m.If(fresh):
                m.d.sync += kept.eq(read.data)
        else:
            m.d.comb += [
                read.addr.eq(Mux(host.read, host.address, self.address.payload)),
                self.word.payload.eq(read.data),
            ]
        with m.If(self.address.ready):
            m.d.sync += self.word.valid.eq(self.address.valid)
        return m
