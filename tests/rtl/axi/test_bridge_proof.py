"""Proofs of what the bridge owes on both sides, and a mutant for each that it does not."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import rtl.axi.bridge
from rtl.axi.rules import LiteRules
from rtl.axi.signatures import Axi, AxiConfig, AxiLite, Response
from sim.proof import holds
from tests.rtl.axi.proofs import mutant, observe

CONFIG = AxiConfig(address_bits=15, data_bits=32, id_bits=1, burst=4)
LITE_BITS, BASE = 13, 1 << 13
ADDRESS = ("id", "addr", "len", "size", "burst")


class BridgeProof(wiring.Component):
    """Any master that keeps what it offers, any slave that keeps its rules.

    Bursts are of up to four beats: the solver finds no invariant of two long counters.

    Parameters
    ----------
    module : module
        The bridge's, or a mutant's.
    rule : str
        Which is asserted: ``lite`` (accesses stay until they are taken), ``inside`` (none is made
        for a burst outside the window), ``write`` (a response for every burst, after all its
        beats, with its ID, and it stays), ``read`` (as many beats as asked, the last marked, with
        the ID, and they stay), ``told`` (DECERR for a burst outside).
    """

    def __init__(self, module, rule: str) -> None:
        self.bridge = module.LiteBridge(CONFIG, LITE_BITS, BASE)
        self.rule = rule
        super().__init__({"axi": In(Axi(CONFIG)), "lite": Out(AxiLite(LITE_BITS))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.bridge = bridge = self.bridge
        m.submodules.rules = rules = LiteRules(LITE_BITS)
        wiring.connect(m, wiring.flipped(self.axi), bridge.axi)
        wiring.connect(m, bridge.lite, wiring.flipped(self.lite))
        observe(m, bridge.lite, rules)
        axi, lite = bridge.axi, bridge.lite
        for channel, fields in (
            ("aw", [f"aw{name}" for name in ADDRESS]),
            ("w", ["wdata", "wstrb"]),
            ("ar", [f"ar{name}" for name in ADDRESS]),
        ):
            m.d.comb += Assume(self.stable(m, channel, fields))
        m.d.comb += [
            Assume(rules.owed.all()),
            Assume((axi.awlen < CONFIG.burst) & (axi.arlen < CONFIG.burst)),
        ]

        # Beats that are still to come, and what is known of the burst.
        writing, reading = Signal(), Signal()
        data, beats = Signal(9), Signal(9)
        write_id, read_id = Signal(CONFIG.id_bits), Signal(CONFIG.id_bits)
        write_out, read_out = Signal(), Signal()
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [
                writing.eq(1),
                data.eq(axi.awlen + 1),
                write_id.eq(axi.awid),
                write_out.eq(axi.awaddr[LITE_BITS:] != BASE >> LITE_BITS),
            ]
        with m.Elif(axi.wvalid & axi.wready):
            m.d.sync += data.eq(data - 1)
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += writing.eq(0)
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [
                reading.eq(1),
                beats.eq(axi.arlen + 1),
                read_id.eq(axi.arid),
                read_out.eq(axi.araddr[LITE_BITS:] != BASE >> LITE_BITS),
            ]
        with m.Elif(axi.rvalid & axi.rready):
            m.d.sync += [beats.eq(beats - 1), reading.eq(beats != 1)]

        owed = {
            "lite": rules.relied.all(),
            "inside": ~((lite.awvalid | lite.wvalid) & write_out) & ~(lite.arvalid & read_out),
            "write": self.stable(m, "b", ("bresp", "bid"))
            & (~axi.bvalid | (writing & (data == 0) & (axi.bid == write_id)))
            & (~axi.wready | (writing & (data != 0))),
            "read": self.stable(m, "r", ("rdata", "rresp", "rid", "rlast"))
            & (~axi.rvalid | (reading & (axi.rid == read_id) & (axi.rlast == (beats == 1)))),
            "told": (~axi.bvalid | ~write_out | (axi.bresp == Response.DECERR))
            & (~axi.rvalid | ~read_out | (axi.rresp == Response.DECERR)),
        }
        m.d.comb += Assert(owed[self.rule])
        return m

    def stable(self, m: Module, channel: str, fields):
        """What was offered and not taken is offered again, unchanged."""
        axi = self.bridge.axi
        return LiteRules.stable(type("View", (), {"axi": axi})(), m, channel, fields)


MUTANTS = {
    "lite": ("            with m.If(ready):\n", "            with m.If(1):\n"),
    "inside": ("lite.awvalid.eq(~outside)", "lite.awvalid.eq(1)"),
    "write": ("axi.bid.eq(tag)", "axi.bid.eq(0)"),
    "read": ("axi.rlast.eq(last)", "axi.rlast.eq(1)"),
    "told": ("Mux(outside, Response.DECERR, lite.rresp)", "lite.rresp"),
}


@pytest.mark.parametrize("rule", MUTANTS)
def test_for_ever(rule):
    assert holds(BridgeProof(rtl.axi.bridge, rule))


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant(rule):
    assert not holds(BridgeProof(mutant("rtl.axi.bridge", *MUTANTS[rule]), rule), depth=20)
