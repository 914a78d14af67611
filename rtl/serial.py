"""The host bus over a serial line, for boards without a processor."""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.host import HostBus
from rtl.uart import UartReceiver, UartTransmitter

__all__ = ["Code", "SerialHost"]


class Code(IntEnum):
    """First byte of a command, and the answers to a write."""

    READ = 0x52
    WRITE = 0x57
    TAKEN = 0x06
    REFUSED = 0x15


class SerialHost(wiring.Component):
    """Takes commands from a serial line and makes accesses of the host bus of them.

    A command is its code, the number of words minus one, the address of the first word (four bytes,
    lowest first) and, of a write, the words (likewise). A write is answered with TAKEN when its
    last word is on the bus, a read with the words. Another code is answered with REFUSED, and all
    that follows it is ignored until the line has been silent. A command of which no byte has come
    for ``silence`` cycles is forgotten: so a host that was stopped in the middle of one leaves
    nothing behind but words already written. The host waits for an answer before the next command.

    Parameters
    ----------
    divisor : int
        Cycles of a bit.
    silence : int
        Cycles, more than those of a byte.

    Members
    -------
    receive : In(1), transmit : Out(1)
        The line.
    bus : Out(HostBus)
    """

    def __init__(self, divisor: int, silence: int) -> None:
        self.divisor = divisor
        self.silence = silence
        super().__init__(
            {"receive": In(1, init=1), "transmit": Out(1, init=1), "bus": Out(HostBus())}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.d.comb += [receiver.line.eq(self.receive), self.transmit.eq(transmitter.line)]
        came, byte = receiver.o_valid, receiver.o

        code, left = Signal(8), Signal(8)
        address, word = Signal(32), Signal(32)
        place, answer = Signal(2), Signal(8)
        quiet = Signal(range(self.silence + 1))
        silent = Signal()
        m.d.comb += silent.eq(quiet == self.silence)
        with m.If(came):
            m.d.sync += quiet.eq(0)
        with m.Elif(~silent):
            m.d.sync += quiet.eq(quiet + 1)
        m.d.sync += [bus.write.eq(0), bus.read.eq(0)]
        m.d.comb += [bus.address.eq(address), bus.write_data.eq(word)]
        following = [address.eq(address + 1), left.eq(left - 1)]

        with m.FSM():
            with m.State("CODE"), m.If(came):
                m.d.sync += [code.eq(byte), place.eq(0), answer.eq(Code.REFUSED)]
                m.next = "REFUSE"
                with m.If((byte == Code.READ) | (byte == Code.WRITE)):
                    m.next = "COUNT"
            with m.State("COUNT"):
                with m.If(came):
                    m.d.sync += left.eq(byte)
                    m.next = "ADDRESS"
                with m.Elif(silent):
                    m.next = "CODE"
            with m.State("ADDRESS"):
                with m.If(came):
                    m.d.sync += [address.eq(Cat(address[8:], byte)), place.eq(place + 1)]
                    with m.If(place == 3):
                        m.next = "DATA"
                        with m.If(code == Code.READ):
                            m.next = "READ"
                with m.Elif(silent):
                    m.next = "CODE"
            with m.State("DATA"):
                with m.If(came):
                    m.d.sync += [word.eq(Cat(word[8:], byte)), place.eq(place + 1)]
                    with m.If(place == 3):
                        m.d.sync += bus.write.eq(1)
                        m.next = "WRITTEN"
                with m.Elif(silent):
                    m.next = "CODE"
            with m.State("WRITTEN"):
                m.d.sync += [*following, answer.eq(Code.TAKEN)]
                m.next = "DATA"
                with m.If(left == 0):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [transmitter.i.valid.eq(1), transmitter.i.payload.eq(answer)]
                with m.If(transmitter.i.ready):
                    m.next = "CODE"
            with m.State("READ"):
                m.d.sync += bus.read.eq(1)
                m.next = "WAIT"
            with m.State("WAIT"), m.If(bus.read_valid):
                m.d.sync += word.eq(bus.read_data)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [transmitter.i.valid.eq(1), transmitter.i.payload.eq(word[:8])]
                with m.If(transmitter.i.ready):
                    m.d.sync += [word.eq(word >> 8), place.eq(place + 1)]
                    with m.If(place == 3):
                        m.d.sync += following
                        m.next = "READ"
                        with m.If(left == 0):
                            m.next = "CODE"
            with m.State("REFUSE"):
                m.d.comb += [transmitter.i.valid.eq(1), transmitter.i.payload.eq(answer)]
                with m.If(transmitter.i.ready):
                    m.next = "LOST"
            with m.State("LOST"), m.If(silent):
                m.next = "CODE"
        return m
