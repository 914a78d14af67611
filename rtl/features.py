"""The feature memory: two banks, so that activations and residuals are read at once."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.store import HostAccess, Store

__all__ = ["FeatureMemory"]


class FeatureMemory(wiring.Component):
    """Two banks of ``words`` words each; the highest address bit is the bank.

    Activations come from bank ``bank``, residuals from the other: the bank bits of their addresses
    are not looked at. Outputs go to either. Latency 1, throughput 1 on each of the three sides,
    back-pressure on the reading ones.

    Parameters
    ----------
    bits : int
        Width of a word.
    words : int
        Words of a bank; a power of two.

    Members
    -------
    bank : In(1)
    activation_address, residual_address : In(stream of address)
    activation, residual : Out(stream of word)
    write : In(1)
    write_address, write_data : In
    host : In(HostAccess)
    """

    latency = Store.latency

    def __init__(self, bits: int, words: int) -> None:
        self.bits = bits
        self.words = words
        self.address_bits = (2 * words - 1).bit_length()
        super().__init__(
            {
                "bank": In(1),
                "activation_address": In(stream.Signature(self.address_bits)),
                "activation": Out(stream.Signature(bits)),
                "residual_address": In(stream.Signature(self.address_bits)),
                "residual": Out(stream.Signature(bits)),
                "write": In(1),
                "write_address": In(self.address_bits),
                "write_data": In(bits),
                "host": In(HostAccess(self.address_bits, bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.bank_0 = bank_0 = Store(self.bits, self.words)
        m.submodules.bank_1 = bank_1 = Store(self.bits, self.words)
        readers = (
            (self.activation_address, self.activation),
            (self.residual_address, self.residual),
        )
        for mine, (low, high) in enumerate(((bank_0, bank_1), (bank_1, bank_0))):
            # `low` serves reader `mine` where `bank` is 0.
            address, word = readers[mine]
            with m.If(~self.bank):
                m.d.comb += route(address, low.address) + route(low.word, word)
            with m.Else():
                m.d.comb += route(address, high.address) + route(high.word, word)
        top = self.address_bits - 1
        host_top = self.host.address[top]
        for index, bank in enumerate((bank_0, bank_1)):
            m.d.comb += [
                bank.write.eq(self.write & (self.write_address[top] == index)),
                bank.write_address.eq(self.write_address[:top]),
                bank.write_data.eq(self.write_data),
                bank.host.address.eq(self.host.address[:top]),
                bank.host.write.eq(self.host.write & (host_top == index)),
                bank.host.write_data.eq(self.host.write_data),
                bank.host.read.eq(self.host.read & (host_top == index)),
            ]
        host_bank = Signal()
        m.d.sync += host_bank.eq(host_top)
        with m.If(host_bank):
            m.d.comb += self.host.read_data.eq(bank_1.host.read_data)
        with m.Else():
            m.d.comb += self.host.read_data.eq(bank_0.host.read_data)
        return m


def route(source, sink) -> list:
    """Statements that pass one stream on to another, cutting the payload to the sink's width."""
    return [
        sink.valid.eq(source.valid),
        sink.payload.eq(source.payload[: len(sink.payload)]),
        source.ready.eq(sink.ready),
    ]
