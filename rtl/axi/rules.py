"""Rules of AXI4 and AXI4-Lite as monitors: one bit a rule, high where it is kept.

A proof asserts what a block owes and assumes what it may rely on; a simulation watches either.
"""

from collections.abc import Iterable

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.read import INCR
from rtl.axi.signatures import AxiConfig, AxiLite, AxiRead, AxiWrite

__all__ = ["LiteRules", "ReadRules", "WriteRules"]

ADDRESS_FIELDS = ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos")


class Rules(wiring.Component):
    """A monitor of an interface.

    Members
    -------
    axi : In(the interface, all of it as inputs)
    owed : Out(len(OWED)), relied : Out(len(RELIED))
        In the order of the names.
    """

    OWED: tuple[str, ...]
    RELIED: tuple[str, ...]

    def __init__(self, signature: wiring.Signature, **more) -> None:
        seen = {name: Out(member.shape) for name, member in signature.members.items()}
        super().__init__(
            {
                "axi": In(wiring.Signature(seen)),
                "owed": Out(len(self.OWED)),
                "relied": Out(len(self.RELIED)),
                **more,
            }
        )

    def stable(self, m: Module, channel: str, fields: Iterable[str]) -> Value:
        """What was offered and not taken is offered again, unchanged."""
        axi = self.axi
        waits, payload = Signal(name=f"{channel}_waits"), Cat(getattr(axi, name) for name in fields)
        before = Signal(len(payload), name=f"{channel}_before")
        valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
        m.d.sync += [waits.eq(valid & ~ready), before.eq(payload)]
        return ~waits | (valid & (payload == before))

    def taken(self, channel: str) -> Value:
        """Whether a transfer takes place on a channel."""
        return getattr(self.axi, f"{channel}valid") & getattr(self.axi, f"{channel}ready")

    def count(self, m: Module, name: str, up: Value, down: Value, most: int) -> Signal:
        """How many more of the one have been than of the other."""
        counter = Signal(range(2 * most + 2), name=name)
        m.d.sync += counter.eq(counter + up - down)
        return counter

    def drive(self, m: Module, owed: dict[str, Value], relied: dict[str, Value]) -> None:
        """Put the rules out by name."""
        m.d.comb += [
            self.owed.eq(Cat(Value.cast(owed[name]).bool() for name in self.OWED)),
            self.relied.eq(Cat(Value.cast(relied[name]).bool() for name in self.RELIED)),
        ]


class LiteRules(Rules):
    """What an AXI4-Lite slave owes its master, and may rely on."""

    OWED = ("b_stable", "r_stable", "b_asked", "r_asked")
    RELIED = ("aw_stable", "w_stable", "ar_stable")

    def __init__(self, address_bits: int) -> None:
        super().__init__(AxiLite(address_bits))

    def elaborate(self, platform) -> Module:
        m = Module()
        axi, most = self.axi, 1
        answered = self.taken("b")
        addresses = self.count(m, "addresses", self.taken("aw"), answered, most)
        words = self.count(m, "words", self.taken("w"), answered, most)
        reads = self.count(m, "reads", self.taken("ar"), self.taken("r"), most)
        self.drive(
            m,
            {
                "b_stable": self.stable(m, "b", ("bresp",)),
                "r_stable": self.stable(m, "r", ("rdata", "rresp")),
                "b_asked": ~axi.bvalid | ((addresses != 0) & (words != 0)),
                "r_asked": ~axi.rvalid | (reads != 0),
            },
            {
                "aw_stable": self.stable(m, "aw", ("awaddr", "awprot")),
                "w_stable": self.stable(m, "w", ("wdata", "wstrb")),
                "ar_stable": self.stable(m, "ar", ("araddr", "arprot")),
            },
        )
        return m


def burst_rules(axi, prefix: str, config: AxiConfig) -> dict[str, Value]:
    """Rules of an address channel's bursts."""

    def field(name: str) -> Value:
        return getattr(axi, f"{prefix}{name}")

    idle = ~field("valid")
    # The last byte's place in its 4096.
    end = field("addr")[:12] + ((field("len") + 1) << config.beat_shift)
    return {
        f"{prefix}_kind": idle
        | (
            (field("burst") == INCR)
            & (field("size") == config.beat_shift)
            & (field("addr")[: config.beat_shift] == 0)
            & (field("id") == 0)
            & (field("lock") == 0)
        ),
        f"{prefix}_length": idle | (field("len") < config.burst),
        f"{prefix}_4096": idle | (end <= 4096),
    }


class ReadRules(Rules):
    """What a master owes the slave that it reads from, and may rely on.

    ``quiet`` : In(1) is the master's word that nothing is under way.
    """

    OWED = ("ar_stable", "ar_kind", "ar_length", "ar_4096", "ar_outstanding", "ar_quiet")
    RELIED = ("r_stable", "r_asked")

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__(AxiRead(config), quiet=In(1))

    def elaborate(self, platform) -> Module:
        m = Module()
        config, axi = self.config, self.axi
        most = config.outstanding
        bursts = self.count(m, "bursts", self.taken("ar"), self.taken("r") & axi.rlast, most)
        self.drive(
            m,
            {
                **burst_rules(axi, "ar", config),
                "ar_stable": self.stable(m, "ar", (f"ar{name}" for name in ADDRESS_FIELDS)),
                "ar_outstanding": bursts + axi.arvalid <= most,
                "ar_quiet": ~self.quiet | ((bursts == 0) & ~axi.arvalid),
            },
            {
                "r_stable": self.stable(m, "r", ("rid", "rdata", "rresp", "rlast")),
                "r_asked": ~axi.rvalid | (bursts != 0),
            },
        )
        return m


class WriteRules(Rules):
    """What a master owes the slave that it writes to, and may rely on.

    ``w_last`` looks at one burst, the one that ``chosen`` : In says, which must not change: WLAST
    is with the last beat of the data as the address of that burst has it, whichever comes first.
    ``w_gapless``: a burst that has begun never waits for the master. ``quiet`` : In(1) is the
    master's word that nothing is under way.
    """

    OWED = (
        "aw_stable",
        "aw_kind",
        "aw_length",
        "aw_4096",
        "aw_outstanding",
        "w_stable",
        "w_strobes",
        "w_last",
        "w_gapless",
        "aw_quiet",
    )
    RELIED = ("b_stable", "b_asked", "chosen_stays")
    CHOSEN_BITS = 3

    def __init__(self, config: AxiConfig) -> None:
        self.config = config
        super().__init__(AxiWrite(config), quiet=In(1), chosen=In(self.CHOSEN_BITS))

    def elaborate(self, platform) -> Module:
        m = Module()
        config, axi = self.config, self.axi
        most = config.outstanding
        answered, last = self.taken("b"), self.taken("w") & axi.wlast
        addresses = self.count(m, "addresses", self.taken("aw"), answered, most)
        bursts = self.count(m, "bursts", last, answered, most)

        # The chosen address and the chosen burst of data, by their numbers modulo a power of two.
        chosen_before, begun = Signal(self.CHOSEN_BITS), Signal()
        m.d.sync += [chosen_before.eq(self.chosen), begun.eq(1)]
        address_number, burst_number = Signal(self.CHOSEN_BITS), Signal(self.CHOSEN_BITS)
        m.d.sync += [
            address_number.eq(address_number + self.taken("aw")),
            burst_number.eq(burst_number + last),
        ]
        length, length_known = Signal(8), Signal()
        beats, beats_known = Signal(9), Signal()
        with m.If(self.taken("aw") & (address_number == self.chosen) & ~length_known):
            m.d.sync += [length.eq(axi.awlen), length_known.eq(1)]
        with m.If(self.taken("w") & (burst_number == self.chosen) & ~beats_known):
            m.d.sync += beats.eq(beats + 1)
            with m.If(axi.wlast):
                m.d.sync += beats_known.eq(1)
        inside = Signal()
        with m.If(self.taken("w")):
            m.d.sync += inside.eq(~axi.wlast)
        self.drive(
            m,
            {
                **burst_rules(axi, "aw", config),
                "aw_stable": self.stable(m, "aw", (f"aw{name}" for name in ADDRESS_FIELDS)),
                "aw_outstanding": (addresses + axi.awvalid <= most) & (bursts + axi.wvalid <= most),
                "w_stable": self.stable(m, "w", ("wdata", "wstrb", "wlast")),
                "w_strobes": ~axi.wvalid | axi.wstrb.all(),
                "w_last": ~(length_known & beats_known) | (beats == length + 1),
                "w_gapless": ~inside | axi.wvalid,
                "aw_quiet": ~self.quiet
                | ((addresses == 0) & (bursts == 0) & ~axi.awvalid & ~axi.wvalid & ~inside),
            },
            {
                "b_stable": self.stable(m, "b", ("bid", "bresp")),
                "b_asked": ~axi.bvalid | ((addresses != 0) & (bursts != 0)),
                "chosen_stays": ~begun | (self.chosen == chosen_before),
            },
        )
        return m
