"""The bridge, driven by cocotbext-axi's master."""

import gc
import importlib.util
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from amaranth.back import rtlil

from rtl.axi.bridge import LiteBridge
from rtl.axi.signatures import AxiConfig
from rtl.verilog import to_verilog
from sim.bench import Bench
from tests.rtl.axi.bridged import BASE, CONFIG, Bridged

installed = pytest.mark.skipif(
    importlib.util.find_spec("cocotbext") is None or shutil.which("iverilog") is None,
    reason="cocotbext-axi and Icarus are needed: pip install 'nomul[axi]', apt install iverilog",
)


@installed
def test_with_another_partys_master(tmp_path):
    from cocotb_tools.runner import get_runner

    (tmp_path / "bridged.v").write_text(to_verilog(Bridged(), "bridged"))
    runner = get_runner("icarus")
    runner.build(
        sources=[tmp_path / "bridged.v"],
        hdl_toplevel="bridged",
        build_dir=tmp_path,
        timescale=("1ns", "1ps"),
    )
    results = runner.test(
        hdl_toplevel="bridged",
        test_module="cocotb_bridge",
        test_dir=Path(__file__).parent,
        build_dir=tmp_path,
        results_xml=str(tmp_path / "results.xml"),
        log_file=tmp_path / "log",
    )
    cases = list(ElementTree.parse(results).iter("testcase"))
    assert len(cases) == 5
    failed = [case.get("name") for case in cases if {"failure", "error"} & {e.tag for e in case}]
    assert not failed, (tmp_path / "log").read_text()[-3000:]


@pytest.mark.parametrize("beats", (1, 4, 16))
def test_its_cycles(beats):
    """From the valid address, and data, to the last response, with a slave of known cycles."""
    dut = Bridged()
    bench = Bench(dut)
    found = {}

    async def testbench(ctx):
        axi = dut.axi
        for name, value in (("len", beats - 1), ("size", 2), ("burst", 1), ("addr", BASE)):
            ctx.set(getattr(axi, f"aw{name}"), value)
            ctx.set(getattr(axi, f"ar{name}"), value)
        for valid in (axi.wvalid, axi.bready, axi.rready, axi.awvalid):
            ctx.set(valid, 1)
        ctx.set(axi.wstrb, 15)
        start = ctx.get(bench.cycle)
        await ctx.tick().until(axi.awready)
        ctx.set(axi.awvalid, 0)
        *_, cycle = await ctx.tick().sample(bench.cycle).until(axi.bvalid)
        found["write"] = cycle - start
        ctx.set(axi.wvalid, 0)
        ctx.set(axi.arvalid, 1)
        await ctx.tick()
        start = ctx.get(bench.cycle)
        await ctx.tick().until(axi.arready)
        ctx.set(axi.arvalid, 0)
        *_, cycle = await ctx.tick().sample(bench.cycle).until(axi.rvalid & axi.rlast)
        found["read"] = cycle - start

    bench.run(testbench)
    assert found == {"write": 5 * beats + 1, "read": 8 * beats}


def test_it_converts():
    assert rtlil.convert(LiteBridge(CONFIG, 28, BASE))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_it_refuses():
    with pytest.raises(ValueError, match="data_bits = 64: the bridge takes 32"):
        LiteBridge(AxiConfig(), 28, BASE)
    with pytest.raises(ValueError, match="base = 0x40000004: must be a multiple of 0x10000000"):
        LiteBridge(CONFIG, 28, BASE + 4)
    # Where the filter holds: what was refused was never used.
    gc.collect()
