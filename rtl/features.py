"""The feature memory: read for every group's vector and for residuals, written with outputs."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.store import HostAccess, SharedAccess, Store

__all__ = ["FeatureMemory", "bank_count"]


def bank_count(vector_words: int) -> int:
    """Banks that a vector's words spread over: the power of two that holds them all.

    >>> [bank_count(words) for words in (1, 2, 3, 4)]
    [1, 2, 4, 4]
    """
    return 1 << (vector_words - 1).bit_length()


class FeatureMemory(wiring.Component):
    """One address space of ``words`` words, in a copy for each group and one for residuals.

    In a group's copy the word at ``address`` stands in bank ``address % banks`` at index
    ``address // banks``. All banks of all copies are read at once, so a vector whose words are in
    different banks takes one cycle. Writes go to all copies. A word that is written in the cycle in
    which it is read is read as it was before; if shared, also one of the cycle before.

    Latency 1 on both reading sides. Groups: throughput 1, the words hold while ``read`` is low.
    Residuals: a stream with back-pressure.

    Parameters
    ----------
    bits : int
        Width of a word.
    words : int
        A power of two.
    groups, vector_words : int
    parts : int
        Equal parts of a word that may be written alone.
    shared : bool
        Whether others than the machine read residuals' copy while it runs; see :class:`Store`.

    Members
    -------
    read : In(1)
    index : In(ArrayLayout(ArrayLayout(index, banks), groups))
    word : Out(ArrayLayout(ArrayLayout(bits, banks), groups))
    residual_address : In(stream of address)
    residual : Out(stream of word)
    write : In(parts), write_address, write_data : In
    reads : Out(1)
        If shared: the machine reads a residual in this cycle.
    host : In(HostAccess), or In(SharedAccess) if shared
    """

    latency = Store.latency

    def __init__(
        self,
        bits: int,
        words: int,
        groups: int,
        vector_words: int,
        parts: int = 1,
        shared: bool = False,
    ) -> None:
        self.parts = parts
        self.bits = bits
        self.words = words
        self.groups = groups
        self.shared = shared
        self.banks = bank_count(vector_words)
        self.bank_bits = (self.banks - 1).bit_length()
        self.address_bits = (words - 1).bit_length()
        index = data.ArrayLayout(self.address_bits - self.bank_bits, self.banks)
        super().__init__(
            {
                "read": In(1),
                "index": In(data.ArrayLayout(index, groups)),
                "word": Out(data.ArrayLayout(data.ArrayLayout(bits, self.banks), groups)),
                "residual_address": In(stream.Signature(self.address_bits)),
                "residual": Out(stream.Signature(bits)),
                "write": In(parts),
                "write_address": In(self.address_bits),
                "write_data": In(bits),
                "host": In((SharedAccess if shared else HostAccess)(self.address_bits, bits)),
                **({"reads": Out(1)} if shared else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.residuals = residuals = Store(
            self.bits, self.words, parts=self.parts, shared=self.shared
        )
        m.d.comb += [
            residuals.write.eq(self.write),
            residuals.write_address.eq(self.write_address),
            residuals.write_data.eq(self.write_data),
        ]
        wiring.connect(m, wiring.flipped(self.residual_address), residuals.address)
        wiring.connect(m, residuals.word, wiring.flipped(self.residual))
        wiring.connect(m, wiring.flipped(self.host), residuals.host)
        if self.shared:
            m.d.comb += self.reads.eq(residuals.reads)
        # What the residuals' copy writes, the machine's word or the host's, the others write too.
        address, word = residuals.written_address, residuals.written_data
        for bank in range(self.banks):
            here = address[: self.bank_bits] == bank
            enable = residuals.written & here.replicate(self.parts)
            for group in range(self.groups):
                m.submodules[f"group_{group}_bank_{bank}"] = store = memory.Memory(
                    shape=unsigned(self.bits), depth=self.words // self.banks, init=[]
                )
                granularity = self.bits // self.parts if self.parts > 1 else None
                read, write = store.read_port(), store.write_port(granularity=granularity)
                m.d.comb += [
                    write.addr.eq(address[self.bank_bits :]),
                    write.data.eq(word),
                    write.en.eq(enable),
                    read.addr.eq(self.index[group][bank]),
                    read.en.eq(self.read),
                    self.word[group][bank].eq(read.data),
                ]
        return m
