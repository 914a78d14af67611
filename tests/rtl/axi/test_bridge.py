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
