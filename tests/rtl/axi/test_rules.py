"""Proofs that the ports keep the rules, and that each rule has a mutant that breaks it."""

import sys

import pytest

import rtl.axi.lite
import rtl.axi.read
import rtl.axi.write
import rtl.dma.channel
import rtl.dma.split
from rtl.axi.rules import LiteRules, ReadRules, WriteRules
from rtl.dma.transfer import DmaConfig
from rtl.registers import Region
from sim.proof import holds
from tests.rtl.axi.proofs import (
    ChannelProof,
    LiteProof,
    MasterProof,
    SplitterProof,
    mutant,
    small,
)

PORT = small(outstanding=2, burst=2)
CHANNEL = DmaConfig(PORT, ((Region.WEIGHTS, 16, 16), (Region.FEATURES, 8, 8)), buffers=2, queue=2)
BOUNDED = ("w_last",)
W_LAST_CYCLES = 14
CHANNEL_CYCLES = 18
"""The first burst of a channel is on the bus 14 cycles behind its transfer."""


def lite(module, *rules):
    return LiteProof(module, rules)


def read(module, *rules):
    return MasterProof(module.ReadMaster(PORT), ReadRules(PORT), rules)


def write(module, *rules):
    return MasterProof(module.WriteMaster(PORT), WriteRules(PORT), rules)


def channel(*rules):
    return ChannelProof(rtl.dma.channel, CHANNEL, rules)


def test_lite_slave_for_ever():
    assert holds(lite(rtl.axi.lite))


def test_read_master_for_ever():
    assert holds(read(rtl.axi.read))


def test_write_master_for_ever():
    rules = [name for name in WriteRules.OWED if name not in BOUNDED]
    assert holds(write(rtl.axi.write, *rules))


def test_last_beat_bounded():
    assert holds(write(rtl.axi.write, *BOUNDED), depth=W_LAST_CYCLES)


def test_splitter_for_ever():
    """So the bursts that the masters are given are those that their proofs assume."""
    assert holds(SplitterProof(rtl.dma.split, CHANNEL))


def test_channel_bounded():
    """Nothing is read or written outside the buffer, with any transfers, responses and resets."""
    assert holds(channel("inside"), depth=CHANNEL_CYCLES, seconds=600)


ADDRESS_MUTANTS = {
    "stable": ("(~axi.{a}valid | axi.{a}ready)", "1"),
    "kind": ("axi.{a}burst.eq(INCR)", "axi.{a}burst.eq(INCR + 1)"),
    "length": ("axi.{a}len.eq(burst.p.length)", "axi.{a}len.eq(burst.p.length + 1)"),
    "4096": ("axi.{a}addr.eq(burst.p.address <<", "axi.{a}addr.eq(burst.p.address + 1 <<"),
    "outstanding": ("(outstanding != config.outstanding) & ~{begun}", "1"),
    "quiet": ("self.idle.eq(outstanding == 0)", "self.idle.eq(~axi.{a}valid)"),
}
MUTANTS = [
    ("lite", lite, "b_stable", 'm.State("RESPOND"), m.If(axi.bready)', 'm.State("RESPOND")'),
    ("lite", lite, "r_stable", 'm.State("ANSWER"), m.If(axi.rready)', 'm.State("ANSWER")'),
    ("lite", lite, "b_asked", "write.eq(axi.awvalid & axi.wvalid", "write.eq(axi.wvalid"),
    ("lite", lite, "r_asked", "read.eq(axi.arvalid & ~write)", "read.eq(~write)"),
    *(
        (module, proof, f"{a}_{rule}", *(text.format(a=a, begun=begun) for text in change))
        for module, proof, a, begun in (
            ("read", read, "ar", "asked"),
            ("write", write, "aw", "begun"),
        )
        for rule, change in ADDRESS_MUTANTS.items()
    ),
    ("write", write, "w_stable", "beats.r_en.eq(active & axi.wready)", "beats.r_en.eq(active)"),
    ("write", write, "w_strobes", "axi.wstrb.eq(~0)", "axi.wstrb.eq(axi.wlast)"),
    ("write", write, "w_last", "last.eq(next_length == 0)", "last.eq(1)"),
    ("write", write, "w_gapless", " & room & enough & ", " & room & "),
]


def test_each_rule_has_a_mutant():
    owed = [*LiteRules.OWED, *ReadRules.OWED, *WriteRules.OWED]
    assert sorted(rule for _, _, rule, _, _ in MUTANTS) == sorted(owed)


@pytest.mark.parametrize(("module", "proof", "rule", "old", "new"), MUTANTS)
def test_a_mutant_breaks_the_rule(module, proof, rule, old, new):
    assert not holds(proof(mutant(f"rtl.axi.{module}", old, new), rule), depth=W_LAST_CYCLES)


def test_a_mutant_splitter():
    changed = mutant("rtl.dma.split", "Mux(ends, more[:length_bits], ~low)", "~0")
    assert not holds(SplitterProof(changed, CHANNEL))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" | outside_buffer | wraps", " | outside_buffer"),
        ("*memory.following(transfer.offset)", "*memory.following(0)"),
        ("memory.over | (memory.sum > self.size)", "memory.sum > self.size"),
    ],
)
def test_a_mutant_checker_lets_transfers_out(monkeypatch, old, new):
    changed = mutant("rtl.dma.check", old, new)
    monkeypatch.setattr(sys.modules["rtl.dma.channel"], "Checker", changed.Checker)
    assert not holds(channel("inside"), depth=CHANNEL_CYCLES)
