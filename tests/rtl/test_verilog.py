"""Amaranth to Verilog, and Yosys in a process of its own."""

import importlib.util

import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from quant.errors import NoMulError
from rtl.verilog import PROGRESS, require_yosys, run_yosys, to_rtlil, to_verilog


class Table(wiring.Component):
    """``o`` is the square of ``i``, a cycle later; ``undriven`` adds a clock without driver."""

    i: In(4)
    o: Out(8)

    def __init__(self, undriven=False):
        self.undriven = undriven
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.squares = squares = Memory(shape=8, depth=16, init=[i * i for i in range(16)])
        port = squares.read_port()
        m.d.comb += [port.addr.eq(self.i), port.en.eq(1), self.o.eq(port.data)]
        if self.undriven:
            m.domains.other = ClockDomain()
            m.d.other += Signal().eq(1)
        return m


def test_verilog_is_deterministic_and_plain():
    text = to_verilog(Table(), "squares")
    assert text == to_verilog(Table(), "squares")
    assert text.startswith("module ")
    assert "module squares(" in text
    assert "8'he1" in text
    for trace in ("src", "generator", "Generated", __file__):
        assert trace not in text


def test_rtlil_has_the_name_on_top():
    assert "module \\squares\n" in to_rtlil(Table(), "squares")


def test_undriven_clock_is_found():
    with pytest.raises(ValueError, match="squares: a clock domain has no driver"):
        to_verilog(Table(undriven=True), "squares")


def test_yosys_refusal():
    with pytest.raises(RuntimeError, match="Yosys failed: ERROR: No such command: frobnicate"):
        run_yosys("frobnicate", {}, ())


def test_yosys_progress():
    said = []
    script = f"log {PROGRESS}half way\nlog other\nwrite_rtlil out.il"
    assert set(run_yosys(script, {}, ("out.il",), said.append)) == {"out.il"}
    assert said == ["half way"]


def test_missing_pyosys(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoMulError, match=r"pyosys is missing, which Verilog output, .*pip install"):
        require_yosys()
    with pytest.raises(NoMulError, match="pyosys is missing"):
        to_verilog(Table(), "squares")
