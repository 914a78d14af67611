"""The generated Verilog in Icarus, with masters and memories that others wrote."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtl.verilog import to_verilog
from tests.rtl.dma.system import DmaSystem

ROOT = Path(__file__).parents[3]
MISSING = [
    name
    for name, found in (
        ("cocotb", importlib.util.find_spec("cocotb")),
        ("cocotbext-axi", importlib.util.find_spec("cocotbext")),
        ("iverilog (Icarus Verilog)", shutil.which("iverilog")),
    )
    if not found
]

# In a process of its own: cocotb's modules warn, and the simulator changes the environment.
RUN = """
import sys
from cocotb_tools.runner import get_runner
folder, source = sys.argv[1:]
runner = get_runner("icarus")
runner.build(
    sources=[source], hdl_toplevel="system", build_dir=folder, timescale=("1ns", "1ps"), always=True
)
runner.test(
    hdl_toplevel="system",
    test_module="tests.rtl.dma.cocotb_system",
    build_dir=folder,
    results_xml=folder + "/results.xml",
)
"""


@pytest.fixture(scope="module")
def verilog(tmp_path_factory):
    path = tmp_path_factory.mktemp("verilog") / "system.v"
    path.write_text(to_verilog(DmaSystem(), "system"))
    return path


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_with_cocotbext_axi(verilog, tmp_path, stall):
    environment = os.environ | {
        "STALL": str(stall),
        "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
        "COCOTB_LOG_LEVEL": "WARNING",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), str(verilog)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    results = (tmp_path / "results.xml").read_text()
    assert results.count("<testcase") == 2 and "<failure" not in results, said[-4000:]
