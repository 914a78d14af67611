"""An AXI4-Lite slave in front of the host bus: the machine as a memory-mapped peripheral."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.signatures import AxiLite, Response
from rtl.host import HostBus

__all__ = ["LiteSlave"]


class LiteSlave(wiring.Component):
    """Makes accesses of the host bus of those of AXI4-Lite, one after the other.

    The byte address ``4 * a`` is the word ``a`` of the host bus; the lowest two bits of an address
    are not looked at. A write needs all four strobes: with others nothing is written and the
    response is SLVERR. Where both a write and a read wait, they take turns.

    Reads take 3 cycles more than the host bus does from address to data, writes 2 from address
    and data to response; the next access begins in the cycle after the response was taken. All
    outputs are registers.

    Members
    -------
    axi : In(AxiLite)
        Of 28 address bits.
    bus : Out(HostBus)
    """

    address_bits = 28

    def __init__(self) -> None:
        super().__init__({"axi": In(AxiLite(self.address_bits)), "bus": Out(HostBus())})

    def elaborate(self, platform) -> Module:
        m = Module()
        axi, bus = self.axi, self.bus
        write, read, wrote = Signal(), Signal(), Signal()
        m.d.comb += [
            # A turn: what was served last lets the other go first.
            write.eq(axi.awvalid & axi.wvalid & ~(wrote & axi.arvalid)),
            read.eq(axi.arvalid & ~write),
        ]
        m.d.sync += [
            bus.write.eq(0),
            bus.read.eq(0),
            axi.awready.eq(0),
            axi.wready.eq(0),
            axi.arready.eq(0),
        ]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(write):
                    m.d.sync += [axi.awready.eq(1), axi.wready.eq(1), wrote.eq(1)]
                    m.next = "WRITE"
                with m.Elif(read):
                    m.d.sync += [axi.arready.eq(1), wrote.eq(0)]
                    m.next = "READ"
            # Address and data are taken in this cycle.
            with m.State("WRITE"):
                whole = axi.wstrb.all()
                m.d.sync += [
                    bus.address.eq(axi.awaddr[2:]),
                    bus.write_data.eq(axi.wdata),
                    bus.write.eq(whole),
                    axi.bvalid.eq(1),
                    axi.bresp.eq(Response.OKAY),
                ]
                with m.If(~whole):
                    m.d.sync += axi.bresp.eq(Response.SLVERR)
                m.next = "RESPOND"
            with m.State("RESPOND"), m.If(axi.bready):
                m.d.sync += axi.bvalid.eq(0)
                m.next = "IDLE"
            with m.State("READ"):
                m.d.sync += [bus.address.eq(axi.araddr[2:]), bus.read.eq(1)]
                m.next = "WAIT"
            with m.State("WAIT"), m.If(bus.read_valid):
                m.d.sync += [axi.rvalid.eq(1), axi.rdata.eq(bus.read_data)]
                m.next = "ANSWER"
            with m.State("ANSWER"), m.If(axi.rready):
                m.d.sync += axi.rvalid.eq(0)
                m.next = "IDLE"
        m.d.comb += axi.rresp.eq(Response.OKAY)
        return m
