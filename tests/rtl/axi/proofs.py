"""Blocks with the rules of their ports, for proofs; and mutants, for proofs of the proofs."""

import importlib
import inspect
import types

from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.rules import LiteRules, ReadRules, WriteRules
from rtl.axi.signatures import AxiConfig

__all__ = ["ChannelProof", "LiteProof", "MasterProof", "SplitterProof", "mutant", "small"]


def mutant(module: str, old: str, new: str) -> types.ModuleType:
    """A module whose source has one piece replaced by another."""
    original = importlib.import_module(module)
    source = inspect.getsource(original)
    assert source.count(old) == 1, f"{old!r} is not once in {module}"
    changed = types.ModuleType(f"{module}_mutant")
    exec(compile(source.replace(old, new), f"{original.__file__} (mutant)", "exec"), vars(changed))
    return changed


def observe(m: Module, axi, rules) -> None:
    """Show an interface to its rules."""
    for name in rules.axi.signature.members:
        m.d.comb += getattr(rules.axi, name).eq(getattr(axi, name))


class Proof(wiring.Component):
    """A design whose chosen rules are asserted, with the others' reliances assumed.

    Parameters
    ----------
    asserted : tuple of str
        Of the rules' ``OWED``; all where none is named.
    """

    def ask(self, m: Module, rules) -> None:
        """Assert what is asked, assume what may be relied on."""
        m.d.comb += Assume(rules.relied.all())
        for index, name in enumerate(rules.OWED):
            if not self.asserted or name in self.asserted:
                m.d.comb += Assert(rules.owed[index])


class LiteProof(Proof):
    """The AXI4-Lite slave; host and bus may do anything."""

    RULES = LiteRules

    def __init__(self, module, asserted=()) -> None:
        self.slave = module.LiteSlave()
        self.asserted = asserted
        members = self.slave.signature.members
        super().__init__({"axi": members["axi"], "bus": members["bus"]})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.slave = slave = self.slave
        m.submodules.rules = rules = LiteRules(slave.address_bits)
        wiring.connect(m, wiring.flipped(self.axi), slave.axi)
        wiring.connect(m, slave.bus, wiring.flipped(self.bus))
        observe(m, slave.axi, rules)
        self.ask(m, rules)
        return m


class MasterProof(Proof):
    """A master given any bursts inside 4096 bytes and any data, and stopped at any time."""

    def __init__(self, master, rules, asserted=()) -> None:
        self.master, self.rules, self.asserted = master, rules, asserted
        extra = {"chosen": In(rules.CHOSEN_BITS)} if isinstance(rules, WriteRules) else {}
        super().__init__({**dict(master.signature.members.items()), **extra})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.master = master = self.master
        m.submodules.rules = rules = self.rules
        connect_all(m, self, master)
        observe(m, master.axi, rules)
        m.d.comb += rules.quiet.eq(master.idle)
        if isinstance(rules, WriteRules):
            m.d.comb += rules.chosen.eq(self.chosen)
        # As the splitter gives them: they stay, and end at a multiple of the longest or before.
        burst, config = self.burst, self.master.config
        waits, before = Signal(), Signal(len(burst.payload.as_value()))
        m.d.sync += [waits.eq(burst.valid & ~burst.ready), before.eq(burst.payload)]
        low = burst.p.address[: config.length_bits]
        m.d.comb += [
            Assume(~burst.valid | (low + burst.p.length < config.burst)),
            Assume(~waits | self.stop | (burst.valid & (burst.payload.as_value() == before))),
        ]
        self.ask(m, rules)
        return m


class SplitterProof(wiring.Component):
    """The splitter with any rows: its bursts stay, and end at a multiple of the longest at most."""

    def __init__(self, module, config) -> None:
        self.splitter = module.BurstSplitter(config)
        super().__init__(dict(self.splitter.signature.members.items()))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.splitter = splitter = self.splitter
        connect_all(m, self, splitter)
        burst, config = splitter.o, splitter.config.axi
        waits, before = Signal(), Signal(len(burst.payload.as_value()))
        m.d.sync += [waits.eq(burst.valid & ~burst.ready), before.eq(burst.payload)]
        low = burst.p.address[: config.length_bits]
        m.d.comb += [
            Assert(~burst.valid | (low + burst.p.length < config.burst)),
            Assert(~waits | (burst.valid & (burst.payload.as_value() == before))),
        ]
        return m


class ChannelProof(Proof):
    """A whole channel with any transfers of any buffer, any reset, any machine.

    Its rule ``inside``: every burst lies in the buffer, whose place and size stay.
    """

    OWED = (*ReadRules.OWED, *WriteRules.OWED, "inside")

    def __init__(self, module, config, asserted=()) -> None:
        self.config, self.asserted = config, asserted
        self.channel = module.DmaChannel(config)
        members = dict(self.channel.signature.members.items())
        super().__init__({**members, "chosen": In(WriteRules.CHOSEN_BITS)})

    def elaborate(self, platform) -> Module:
        m = Module()
        channel, config = self.channel, self.config.axi
        m.submodules.channel = channel
        m.submodules.reads = reads = ReadRules(config)
        m.submodules.writes = writes = WriteRules(config)
        connect_all(m, self, channel)
        observe(m, channel.axi, reads)
        observe(m, channel.axi, writes)
        m.d.comb += [
            writes.chosen.eq(self.chosen),
            reads.quiet.eq(channel.idle),
            writes.quiet.eq(channel.idle),
        ]
        begun, base, size = Signal(), Signal.like(self.base), Signal.like(self.size)
        m.d.sync += [begun.eq(1), base.eq(self.base), size.eq(self.size)]
        m.d.comb += Assume(~begun | ((base == self.base) & (size == self.size)))
        inside = []
        for prefix in ("ar", "aw"):
            first = getattr(channel.axi, f"{prefix}addr")[config.beat_shift :]
            end = first + getattr(channel.axi, f"{prefix}len") + 1
            inside.append(
                ~getattr(channel.axi, f"{prefix}valid")
                | ((first >= self.base) & (end <= self.base + self.size))
            )
        m.d.comb += [
            Assume(reads.relied.all() & writes.relied.all()),
            *(
                Assert(bit)
                for name, bit in zip(self.OWED, [*reads.owed, *writes.owed, inside[0] & inside[1]])
                if not self.asserted or name in self.asserted
            ),
        ]
        return m


def connect_all(m: Module, outer, inner) -> None:
    """Put all members of a component on those of the same names of the one around it."""
    for name, member in inner.signature.members.items():
        own, sub = getattr(outer, name), getattr(inner, name)
        if member.is_signature and member.flow is In:
            wiring.connect(m, wiring.flipped(own), sub)
        elif member.is_signature:
            wiring.connect(m, sub, wiring.flipped(own))
        else:
            m.d.comb += own.eq(sub) if member.flow is Out else sub.eq(own)


def small(**more) -> AxiConfig:
    """A narrow port with short bursts."""
    return AxiConfig(**{"address_bits": 14, "data_bits": 8, "id_bits": 1, "burst": 4} | more)
