"""The primitives get ports of their names and widths: Icarus reads both sides."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.processor import ProcessorPorts
from boards.zynq import KINDS
from rtl.axi.signatures import Axi, AxiConfig
from rtl.verilog import to_verilog

PRIMITIVES = Path(__file__).with_name("primitives.v")
installed = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus is needed: apt install iverilog"
)


class System(wiring.Component):
    """A processing system whose used ports are the top's."""

    def __init__(self, ports: ProcessorPorts) -> None:
        self.ports = ports
        super().__init__(
            {
                "irq": In(1),
                "clocks": Out(4),
                "resets": Out(4),
                "control": Out(Axi(ports.master_config)),
                **{f"memory_{n}": In(Axi(AxiConfig())) for n in range(2)},
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        ports, clock = self.ports, ClockSignal()
        m.d.sync += Signal().eq(self.irq)
        m.submodules.ps = Instance(
            ports.primitive,
            **ports.common(self.clocks, self.resets, self.irq),
            **ports.master(m, wiring.flipped(self.control), clock),
            **ports.slave(m, 0, wiring.flipped(self.memory_0), clock),
            **ports.slave(m, 1, wiring.flipped(self.memory_1), clock),
        )
        return m


@installed
@pytest.mark.parametrize("kind", KINDS)
def test_names_and_widths(kind, tmp_path):
    text = to_verilog(System(KINDS[kind]), "system")
    (tmp_path / "system.v").write_text(text)
    command = ["iverilog", "-Wall", "-g2005", "-s", "system", "-o", tmp_path / "out"]
    done = subprocess.run(
        [*command, tmp_path / "system.v", PRIMITIVES], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "timescale" not in line]
    assert done.returncode == 0 and not said, done.stderr[:2000]
    # Every port of the primitive is connected.
    primitive = KINDS[kind].primitive
    body = re.search(rf"^module {primitive}\((.*?)^\);", PRIMITIVES.read_text(), re.M | re.S)[1]
    declared = set(re.findall(r"(\w+)(?:,|\n)", body))
    used = re.search(rf"^  {primitive} ps \((.*?)^  \);", text, re.M | re.S)[1]
    assert declared == set(re.findall(r"\.(\w+)\(", used))


@installed
@pytest.mark.parametrize("change", ["MAXIGP0ARLEN", "[11:0] MAXIGP0ARID"])
def test_a_wrong_port_is_found(change, tmp_path):
    """The check above can fail."""
    (tmp_path / "system.v").write_text(to_verilog(System(KINDS["ps7"]), "system"))
    wrong = "[3:0] OTHER" if change == "MAXIGP0ARLEN" else "[10:0] MAXIGP0ARID"
    wanted = "[3:0] MAXIGP0ARLEN" if change == "MAXIGP0ARLEN" else change
    (tmp_path / "other.v").write_text(PRIMITIVES.read_text().replace(wanted, wrong))
    command = ["iverilog", "-Wall", "-g2005", "-s", "system", "-o", tmp_path / "out"]
    done = subprocess.run(
        [*command, tmp_path / "system.v", tmp_path / "other.v"], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "timescale" not in line]
    assert done.returncode or said
