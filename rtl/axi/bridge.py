"""A bridge from AXI4 or AXI3 bursts to single accesses of AXI4-Lite."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.signatures import Axi, AxiConfig, AxiLite, Response

__all__ = ["BURST_BITS", "LiteBridge"]

BURST_BITS = 12
"""No burst leaves 4096 bytes, so only so many bits of its address change."""


class LiteBridge(wiring.Component):
    """Makes an AXI4-Lite access of each beat of a burst, one after the other.

    Bursts may be FIXED, INCR (the reserved type is taken for it) or WRAP, of beats of up to 32
    bits; narrow beats keep their strobes. IDs come back with the responses. The response of a write
    is the worst of its beats', as DECERR is worse than SLVERR. A transaction outside ``base`` and
    the address space behind it ends with DECERR and reaches nobody. Where both a write and a read
    wait, they take turns. Exclusive accesses are answered with OKAY: they are none.

    A beat takes 3 cycles more than the slave takes, and a write one more. All outputs but the
    ready of responses are registers.

    Parameters
    ----------
    config : AxiConfig
        Of 32 data bits. ``burst`` and ``outstanding`` do not matter.
    lite_bits : int
        Address bits of the slave.
    base : int
        Its address, a multiple of its size.

    Members
    -------
    axi : In(Axi)
    lite : Out(AxiLite)
    """

    def __init__(self, config: AxiConfig, lite_bits: int, base: int) -> None:
        if config.data_bits != 32:
            raise ValueError(f"data_bits = {config.data_bits}: the bridge takes 32")
        if base % (1 << lite_bits) or base >> config.address_bits:
            raise ValueError(
                f"base = {base:#x}: must be a multiple of {1 << lite_bits:#x} below "
                f"{1 << config.address_bits:#x}"
            )
        self.config = config
        self.lite_bits = lite_bits
        self.base = base
        super().__init__({"axi": In(Axi(config)), "lite": Out(AxiLite(lite_bits))})

    def elaborate(self, platform) -> Module:
        m = Module()
        config, axi, lite = self.config, self.axi, self.lite
        write, wrote = Signal(), Signal()
        # The transaction under way: its ID and the place of its next beat.
        tag = Signal(config.id_bits)
        address = Signal(config.address_bits)
        left, length = Signal(8), Signal(8)
        size, kind = Signal(3), Signal(2)
        worst, outside, last = Signal(2), Signal(), Signal()
        following = Signal(BURST_BITS)
        self.follow(m, address[:BURST_BITS], length, size, kind, following)
        advance = [address[:BURST_BITS].eq(following), left.eq(left - 1)]

        m.d.comb += [
            write.eq(axi.awvalid & ~(wrote & axi.arvalid)),
            axi.bid.eq(tag),
            axi.rid.eq(tag),
            axi.bresp.eq(worst),
        ]
        m.d.sync += [
            axi.awready.eq(0),
            axi.arready.eq(0),
            axi.wready.eq(0),
            # A cycle late, which is soon enough.
            outside.eq(address[self.lite_bits :] != self.base >> self.lite_bits),
            last.eq(left == 0),
        ]
        # Lite addresses and data stay until they are taken.
        for valid, ready in (
            (lite.awvalid, lite.awready),
            (lite.wvalid, lite.wready),
            (lite.arvalid, lite.arready),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)

        def take(prefix: str) -> list:
            names = ("id", "addr", "len", "len", "size", "burst")
            registers = (tag, address, left, length, size, kind)
            return [r.eq(getattr(axi, prefix + n)) for r, n in zip(registers, names, strict=True)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += worst.eq(Response.OKAY)
                with m.If(write):
                    m.d.sync += [axi.awready.eq(1), wrote.eq(1), *take("aw")]
                    m.next = "BEGIN"
                with m.Elif(axi.arvalid):
                    m.d.sync += [axi.arready.eq(1), wrote.eq(0), *take("ar")]
                    m.next = "BEGIN"
            # What follows from the address is known after this.
            with m.State("BEGIN"):
                m.next = "READ"
                with m.If(wrote):
                    m.next = "WRITE"
            # A beat of data is passed on, or dropped; it is taken in the next cycle.
            with m.State("WRITE"), m.If(axi.wvalid):
                m.d.sync += [
                    axi.wready.eq(1),
                    lite.awaddr.eq(address),
                    lite.wdata.eq(axi.wdata),
                    lite.wstrb.eq(axi.wstrb),
                    lite.awvalid.eq(~outside),
                    lite.wvalid.eq(~outside),
                ]
                m.next = "WRITTEN"
            with m.State("WRITTEN"):
                m.d.comb += lite.bready.eq(1)
                with m.If(lite.bvalid | outside):
                    answer = Mux(outside, Response.DECERR, lite.bresp)
                    m.d.sync += advance
                    with m.If(answer > worst):
                        m.d.sync += worst.eq(answer)
                    with m.If(last):
                        m.d.sync += axi.bvalid.eq(1)
                        m.next = "RESPOND"
                    with m.Else():
                        m.next = "NEXT"
            # A cycle apart, so that a beat that was taken is not seen again.
            with m.State("NEXT"):
                m.next = "WRITE"
            with m.State("RESPOND"), m.If(axi.bready):
                m.d.sync += axi.bvalid.eq(0)
                m.next = "IDLE"
            with m.State("READ"):
                m.d.sync += [lite.araddr.eq(address), lite.arvalid.eq(~outside)]
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += lite.rready.eq(1)
                with m.If(lite.rvalid | outside):
                    m.d.sync += [
                        *advance,
                        axi.rvalid.eq(1),
                        axi.rdata.eq(Mux(outside, 0, lite.rdata)),
                        axi.rresp.eq(Mux(outside, Response.DECERR, lite.rresp)),
                        axi.rlast.eq(last),
                    ]
                    m.next = "ANSWER"
            with m.State("ANSWER"), m.If(axi.rready):
                m.d.sync += axi.rvalid.eq(0)
                with m.If(axi.rlast):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "READ"
        return m

    def follow(self, m: Module, low, length, size, kind, following) -> None:
        """``following``: the next beat's address, ``low`` bits, three cycles after this beat's.

        No beat takes fewer.
        """
        mask, raised = Signal(BURST_BITS), Signal(BURST_BITS)
        carry = Signal()
        m.d.comb += carry.eq((size == 2) | (low[1] & ((size == 1) | low[0])))
        # An unaligned address, of the first beat alone, is aligned by the way.
        m.d.sync += [
            mask.eq((length << size[:2]) | Mux(size == 2, 3, size == 1)),
            raised[2:].eq(low[2:] + carry),
            raised[1].eq((size != 2) & (low[1] ^ ((size == 1) | low[0]))),
            raised[0].eq((size == 0) & ~low[0]),
        ]
        with m.Switch(kind):
            with m.Case(0):
                m.d.sync += following.eq(low)
            with m.Case(2):
                m.d.sync += following.eq(
                    Cat(Mux(mask[i], raised[i], low[i]) for i in range(BURST_BITS))
                )
            with m.Default():
                m.d.sync += following.eq(raised)
