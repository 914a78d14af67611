"""Synthesis of a small design with blocks: counts, owners, limits."""

import json

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from boards.ownership import assign_owners
from boards.parts import Part, load_part
from boards.resources import CELLS, NAMES, Resources
from boards.synth import SynthReport, _cost, synthesize
from quant.errors import NoMulError
from rtl.cache import Cache
from rtl.design import Design


class Adder(wiring.Component):
    """``o`` = a + b, a cycle later."""

    a: In(16)
    b: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.a + self.b)
        return m


class Store(wiring.Component):
    """A block RAM of 18 kbit."""

    i: In(16)
    o: Out(16)
    address: In(10)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=1024, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.i),
            write.en.eq(1),
            read.addr.eq(~self.address),
            read.en.eq(1),
            self.o.eq(read.data),
        ]
        return m


class Fields(wiring.Component):
    """Registers that are ports, of a layout with fields, and feed logic of their own."""

    def __init__(self):
        layout = data.ArrayLayout(data.ArrayLayout(signed(5), 2), 2)
        super().__init__({"i": In(layout), "largest": Out(layout)})

    def elaborate(self, platform):
        m = Module()
        for group in range(2):
            for lane in range(2):
                value, largest = self.i[group][lane], self.largest[group][lane]
                with m.If(value > largest):
                    m.d.sync += largest.eq(value)
        return m


class Blocks(wiring.Component):
    """Two adders, one in a nested block, a product, a block RAM, a small memory."""

    i: In(16)
    o: Out(16)
    address: In(10)

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Adder()
        m.submodules.outer = outer = Module()
        outer.submodules.second = second = Adder()
        m.submodules.store = store = Store()
        m.submodules.scratch = scratch = Memory(shape=16, depth=16, init=[])
        put, get = scratch.write_port(), scratch.read_port(domain="comb")
        sums, product = Signal(16), Signal(16)
        m.d.comb += sums.eq(first.o ^ second.o)
        m.d.sync += product.eq(sums * sums)
        m.d.comb += [
            first.a.eq(self.i),
            first.b.eq(product),
            second.a.eq(self.i),
            second.b.eq(get.data),
            store.address.eq(self.address),
            store.i.eq(product),
            put.addr.eq(self.address),
            put.data.eq(self.i),
            put.en.eq(1),
            get.addr.eq(self.address[4:]),
            self.o.eq(store.o),
        ]
        return m


DESIGN = Design(Blocks, (), "blocks")


@pytest.mark.parametrize(("part", "carry"), [("xc7z020", 4), ("xczu3eg", 2)])
def test_counts(part, carry):
    said = []
    report = synthesize(DESIGN, load_part(part), said.append)
    assert not said or "blocks: look-up tables" in said
    used = report.blocks
    assert {"", "first", "outer", "outer.second", "store"} == set(used)
    for name in ("first", "outer.second"):
        assert (used[name].lut, used[name].ff, used[name].carry) == (16, 16, carry)
    total = report.total
    assert (total.dsp, total.bram, total.uram) == (1, 0.5, 0)
    assert used["store"].bram == 0.5
    assert used[""].lutram == total.lutram > 0
    grouped = report.grouped()
    assert set(grouped) == {"", "first", "outer", "store"}
    assert sum(grouped.values(), Resources()) == total
    assert report.share("bram") == 0.5 / report.part.available.bram
    assert report.share("uram") == 0
    report.check({})


def test_names_of_fields_do_not_clash(tmp_path):
    """A port's field has the name that ABC9 gives to one of the port's bits."""
    design = Design(Fields, (), "fields")
    assert r"wire width 10 \largest[0]" in design.rtlil()
    used = synthesize(design, load_part("xc7z020"), cache=Cache(tmp_path)).total
    assert used.ff == 20
    assert used.lut >= 4


def test_json():
    report = synthesize(DESIGN, load_part("xc7z020"))
    table = json.loads(json.dumps(report.to_dict()))
    assert table["part"] == "xc7z020"
    assert table["used"]["dsp"] == 1
    assert table["available"]["lut"] == 53200
    assert table["share"]["dsp"] == pytest.approx(1 / 220)
    assert table["share"]["uram"] is None
    assert table["blocks"]["first"]["ff"] == 16


def test_kept_in_the_cache(tmp_path, monkeypatch):
    cache, part = Cache(tmp_path), load_part("xc7z020")
    monkeypatch.setattr("boards.synth.netlist", lambda *_: None)
    monkeypatch.setattr("boards.synth._count", lambda *_: {"": Resources(lut=3.0)})
    first = synthesize(DESIGN, part, cache=cache)
    monkeypatch.setattr("boards.synth.netlist", lambda *_: pytest.fail("synthesized"))
    assert synthesize(DESIGN, part, cache=cache) == first
    assert synthesize(DESIGN, load_part("xc7z010"), cache=cache).total == first.total


def test_too_large():
    part = Part("small", "xc7", Resources(lut=100, ff=100, carry=100, dsp=4, bram=2))
    blocks = {"": Resources(lut=10), "engine.a": Resources(lut=60), "engine.b": Resources(lut=50)}
    advice = {name: f"less {name}" for name in NAMES}
    with pytest.raises(NoMulError) as caught:
        SynthReport("machine", part, blocks).check(advice)
    assert str(caught.value) == (
        "machine does not fit small: LUT 120 of 100 (most of the LUT in engine); less lut"
    )
    blocks = {"": Resources(lut=101, bram=2.5, uram=1)}
    with pytest.raises(NoMulError, match=r"LUT 101 of 100, BRAM 2.5 of 2, URAM 1 of 0 .*the top"):
        SynthReport("machine", part, blocks).check(advice)


def test_exactly_full_fits():
    part = Part("small", "xc7", Resources(lut=100))
    SynthReport("machine", part, {"": Resources(lut=100, lutram=100)}).check({})


def test_unknown_cell():
    with pytest.raises(RuntimeError, match="holds a cell GTX, whose cost is not known"):
        _cost("GTX", "xc7")
    assert _cost("CARRY4", "xc7") == Resources(carry=1)
    assert _cost("CARRY4", "xcup") == Resources(carry=0.5)
    assert CELLS["RAM64M"] == Resources(lut=4, lutram=4)


def cell(inputs, output, source=""):
    return {
        "attributes": {"src": source},
        "port_directions": {"I": "input", "O": "output"},
        "connections": {"I": inputs, "O": [output]},
    }


def test_owners():
    cells = {
        "$ff_a": cell([10], 1, "t.a.x|cells.v:1"),
        "$ff_b": cell([11], 2, "t.a.y"),
        "$ff_c": cell([12], 3, "t.b"),
        "$merged": cell([1], 4, "t.a.x|t.a.y"),
        "$into_a": cell([20, "0"], 10),
        "$before_a": cell([1, 2], 20),
        "$into_both": cell([3], 11),
        "$also": cell([11], 10),
        "$into_output": cell([1], 30),
        "$loop": cell([40], 40),
        "a.x.store.0.1": cell([3], 50, "brams.v:1"),
        "x.store": cell([3], 51),
        "$of_top": cell([4], 5, "t"),
        "$before_top": cell([4], 6),
        "$ff_d": cell([6], 7, "t"),
    }
    owners = assign_owners({"cells": cells}, "t", {"a", "a.x", "a.y", "b"})
    assert owners["a.x.store.0.1"] == ("a", "x")
    assert owners["x.store"] == owners["$of_top"] == owners["$before_top"] == ()
    assert owners["$ff_a"] == ("a", "x")
    assert owners["$merged"] == ("a",)
    assert owners["$into_a"] == owners["$before_a"] == ("a", "x")
    assert owners["$into_both"] == ("a",)
    assert owners["$into_output"] == owners["$loop"] == ()
