"""Netlists: what they hold, and that they are kept."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards import xilinx
from boards.xilinx import netlist, netlist_key
from rtl.cache import Cache
from rtl.design import Design


class Inner(wiring.Component):
    """``o`` = i, a cycle later."""

    i: In(2)
    o: Out(2)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(~self.i)
        return m


class Outer(wiring.Component):
    """A block in a block."""

    i: In(2)
    o: Out(2)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Inner()
        m.d.comb += [inner.i.eq(self.i), self.o.eq(inner.o)]
        return m


DESIGN = Design(Outer, (), "outer")


SAID: list[str] = []


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def found(cache):
    return netlist(DESIGN, "xc7", SAID.append, cache)


def test_cells_names_and_owners(found):
    assert found.blocks == ("", "inner")
    kinds = sorted(cell["type"] for cell in found.module["cells"].values())
    assert kinds == ["FDRE", "FDRE", "INV", "INV"]
    assert set(found.owners().values()) == {"inner"}
    assert set(found.module["ports"]) == {"clk", "rst", "i", "o"}
    assert len(found.module["netnames"]["o"]["bits"]) == 2
    assert all("INIT" not in cell["parameters"] for cell in found.module["cells"].values())


def test_kept_in_the_cache(found, cache, monkeypatch):
    assert SAID[0] == "outer: elaborating" and "outer: look-up tables" in SAID
    monkeypatch.setattr(xilinx, "_synthesize", lambda *_: pytest.fail("synthesized"))
    assert netlist(DESIGN, "xc7", cache=cache) == found


def test_the_family_counts():
    assert netlist_key(DESIGN, "xc7") != netlist_key(DESIGN, "xcup")
