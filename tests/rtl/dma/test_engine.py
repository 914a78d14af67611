"""Both channels; their Verilog in Icarus, with masters and memories that others wrote."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import rtlil

from rtl.dma.engine import Dma
from rtl.dma.registers import DMA_REGION, ChannelRegister, TransferError, channel_address
from rtl.registers import REGION_SHIFT
from rtl.verilog import to_verilog
from sim.bench import Bench
from tests.rtl.dma.bench import transfer
from tests.rtl.dma.system import SYSTEM, DmaSystem

START = channel_address(0, ChannelRegister.START)
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


def push(channel, words):
    return {"channel": channel, "transfer": transfer(words=words)}


def test_host_and_machine_push_into_the_same_queues():
    """The host's transfer goes first; the machine's waits for it and for its channel's room."""
    dut = Dma(SYSTEM)
    queue = SYSTEM.queue
    bench = Bench(dut)
    taken = []

    async def machine(ctx):
        # No buffer is set, so the first transfer stops its channel and the others stay.
        for n in range(2 * queue):
            ctx.set(dut.transfer.payload, push(0, n + 1))
            ctx.set(dut.transfer.valid, 1)
            *_, ready = await ctx.tick().sample(dut.transfer.ready)
            taken.append(ready)
        # The other channel has room.
        ctx.set(dut.transfer.payload, push(1, 1))
        *_, ready = await ctx.tick().sample(dut.transfer.ready)
        assert ready
        ctx.set(dut.transfer.valid, 0)
        await ctx.tick().repeat(40)
        assert ctx.get(dut.error_0) == ctx.get(dut.error_1) == TransferError.OUTSIDE_BUFFER
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.idle_0) and ctx.get(dut.idle_1)
        assert ctx.get(dut.error_0) == ctx.get(dut.error_1) == TransferError.NONE
        # In the cycle in which the host's goes, the machine's waits.
        ctx.set(dut.bus.address, (DMA_REGION << REGION_SHIFT) + START)
        ctx.set(dut.bus.write, 1)
        ctx.set(dut.transfer.valid, 1)
        await ctx.tick()
        ctx.set(dut.bus.write, 0)
        seen = []
        for _ in range(4):
            *_, ready = await ctx.tick().sample(dut.transfer.ready)
            seen.append(ready)
        assert seen == [1, 0, 1, 1]

    bench.run(machine)
    assert taken[: queue // 2] == [1] * (queue // 2) and taken[-1] == 0


def test_conversion():
    rtlil.convert(Dma(SYSTEM))
