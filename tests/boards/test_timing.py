"""The timing of small designs, from RTL to report."""

import json

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.parts import load_part
from boards.paths import Ends, Path
from boards.timing import ARRAY, LABEL, SHELL, Rule, TimingReport, estimate
from quant.errors import NoMulError
from rtl.design import Design

PART = load_part("xc7z020")


class Adder(wiring.Component):
    """``o`` = a + b between registers."""

    a: In(16)
    b: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(16), Signal(16)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.o.eq(a + b)]
        return m


class Parity(wiring.Component):
    """Parity of a wide register: three tables deep or more."""

    i: In(64)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        word = Signal(64)
        m.d.sync += [word.eq(self.i), self.o.eq(word.xor())]
        return m


class Both(wiring.Component):
    """An engine of one adder, and a parity beside it."""

    a: In(16)
    b: In(16)
    i: In(64)
    o: Out(1)
    p: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = Module()
        engine.submodules.adder = adder = Adder()
        m.submodules.parity = parity = Parity()
        m.d.comb += [
            adder.a.eq(self.a),
            adder.b.eq(self.b),
            parity.i.eq(self.i),
            self.o.eq(parity.o),
            self.p.eq(adder.o),
        ]
        return m


@pytest.fixture(scope="module")
def report():
    return estimate(Design(Both, (), "both"), PART)


def test_blocks(report):
    adder, parity = report.blocks["engine.adder"], report.blocks["parity"]
    assert (adder.slowest.levels, adder.slowest.chains) == (0, 1)
    assert adder.slowest.cells[1] == "CARRY4*4"
    assert adder.slowest.start.startswith("engine.adder.")
    # What the top hands on has the name of the top's port.
    assert adder.slowest.end.startswith("p[")
    assert parity.slowest.levels in (3, 4) and parity.slowest.chains == 0
    assert set(parity.deepest) == {0}
    assert set(report.grouped()) == {"", "engine", "parity"}
    assert report.ns == parity.slowest.ns
    assert report.mhz == pytest.approx(1000 / report.ns)


def test_rules(report):
    assert report.violations() == {}
    assert report.rule("engine.adder") is ARRAY and report.rule("engines") is SHELL
    broken = TimingReport("both", PART, report.blocks, engine="parity").violations(depth=1)
    assert list(broken) == ["parity"]
    assert "parity" in TimingReport("both", PART, report.blocks, engine="").violations()


def test_json(report):
    table = json.loads(json.dumps(report.to_dict()))
    assert table["label"] == LABEL == "estimate, not placed and routed"
    assert table["part"] == "xc7z020" and table["mhz"] == report.mhz
    slowest = report.blocks["parity"].slowest
    assert table["blocks"]["parity"]["slowest"]["levels"] == slowest.levels
    assert table["blocks"]["parity"]["slowest"]["path"] == str(slowest)
    assert table["blocks"]["engine.adder"]["rule"] == ARRAY.name
    assert table["violations"] == {}


def path(ns, levels, chains):
    return Path("a", (), (1,), "b", ns, levels, chains)


@pytest.mark.parametrize(
    ("levels", "chains", "allowed"),
    [(2, 0, True), (3, 0, False), (1, 1, True), (2, 1, False), (0, 2, False)],
)
def test_a_rule(levels, chains, allowed):
    assert Rule("", (2, 1)).allows(path(1.0, levels, chains)) is allowed


def test_the_worst_of_nested_blocks():
    blocks = {
        "x": Ends(path(2.0, 1, 0), {0: path(2.0, 1, 0)}),
        "x.y": Ends(path(1.0, 3, 0), {0: path(1.0, 3, 0), 1: path(1.0, 0, 1)}),
        "z": Ends(path(1.5, 1, 1), {1: path(1.5, 1, 1)}),
    }
    found = TimingReport("d", PART, blocks).grouped()
    assert found["x"] == Ends(path(2.0, 1, 0), {0: path(1.0, 3, 0), 1: path(1.0, 0, 1)})
    assert found["z"] == blocks["z"]


def test_no_path():
    empty = TimingReport("d", PART, {})
    assert empty.ns == 0 and empty.mhz == float("inf")


def test_another_family():
    with pytest.raises(NoMulError, match="no cell delays are known of xczu3eg"):
        estimate(Design(Adder, (), "adder"), load_part("xczu3eg"))
