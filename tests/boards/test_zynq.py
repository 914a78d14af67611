"""The logic of a Zynq in Icarus: a processing system that runs a program of accesses."""

import shutil
import subprocess

import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

import boards.zynq
from boards.zynq import KINDS, ZynqSystem
from rtl.architecture import load_architecture
from rtl.axi.lite import LiteSlave
from rtl.axi.signatures import Axi, AxiConfig, AxiLite
from rtl.verilog import to_verilog

BASES = {"ps7": 0x4000_0000, "ps8": 0xA000_0000}

installed = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus is needed: apt install iverilog"
)


class Small(wiring.Component):
    """Stands for the machine: 16 words; the interrupt is high while word 1 is not 0.

    A burst is asked for at the memory port, at the address that stands in word 2.
    """

    memory_ports = ("axi_0",)

    def __init__(self, architecture, family) -> None:
        super().__init__(
            {
                "control": In(AxiLite(LiteSlave.address_bits)),
                "irq": Out(1),
                "axi_0": Out(Axi(AxiConfig())),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.slave = slave = LiteSlave()
        m.submodules.store = store = memory.Memory(shape=unsigned(32), depth=16, init=[])
        wiring.connect(m, wiring.flipped(self.control), slave.axi)
        read, write, bus = store.read_port(), store.write_port(), slave.bus
        later, third = Signal(), Signal(32, init=0x55)
        m.d.comb += [
            read.addr.eq(bus.address),
            read.en.eq(bus.read),
            write.addr.eq(bus.address),
            write.data.eq(bus.write_data),
            write.en.eq(bus.write),
            self.axi_0.arvalid.eq(1),
            self.axi_0.araddr.eq(third),
            self.axi_0.arlen.eq(15),
        ]
        m.d.sync += [later.eq(bus.read), bus.read_valid.eq(later), bus.read_data.eq(read.data)]
        with m.If(bus.write & (bus.address == 1)):
            m.d.sync += self.irq.eq(bus.write_data != 0)
        with m.If(bus.write & (bus.address == 2)):
            m.d.sync += third.eq(bus.write_data)
        return m


# Writes two words in a burst, reads them back, looks at interrupt and memory port, then reads
# outside the window. Words of the AXI port are the lowest 32 bits.
PROGRAM = """
`timescale 1ns/1ps
module BUFG(output O, input I); assign O = I; endmodule
module BUFG_PS(output O, input I); assign O = I; endmodule
module {primitive}(
  output [3:0] {clock}, {resets} {constants} input [{irq_high}:0] {irq},
  input MAXIGP0ACLK,
  output reg [{address_high}:0] MAXIGP0AWADDR, MAXIGP0ARADDR,
  output [1:0] MAXIGP0AWBURST, MAXIGP0ARBURST, output [3:0] MAXIGP0AWCACHE, MAXIGP0ARCACHE,
  output [{id_high}:0] MAXIGP0AWID, MAXIGP0ARID,
  output [{length_high}:0] MAXIGP0AWLEN, MAXIGP0ARLEN,
  output [{lock_high}:0] MAXIGP0AWLOCK, MAXIGP0ARLOCK,
  output [2:0] MAXIGP0AWPROT, MAXIGP0ARPROT, output [3:0] MAXIGP0AWQOS, MAXIGP0ARQOS,
  output [{size_high}:0] MAXIGP0AWSIZE, MAXIGP0ARSIZE,
  output reg MAXIGP0AWVALID, MAXIGP0ARVALID, input MAXIGP0AWREADY, MAXIGP0ARREADY,
  output [{data_high}:0] MAXIGP0WDATA, output [{strobe_high}:0] MAXIGP0WSTRB,
  output MAXIGP0WLAST, output reg MAXIGP0WVALID, input MAXIGP0WREADY,
  input [{id_high}:0] MAXIGP0BID, input [1:0] MAXIGP0BRESP, input MAXIGP0BVALID,
  output MAXIGP0BREADY,
  input [{data_high}:0] MAXIGP0RDATA, input [{id_high}:0] MAXIGP0RID, input [1:0] MAXIGP0RRESP,
  input MAXIGP0RLAST, input MAXIGP0RVALID, output MAXIGP0RREADY,
  input {memory}ARVALID, input [{length_high}:0] {memory}ARLEN, output {memory}ARREADY,
  input [{memory_address_high}:0] {memory}ARADDR{others}
);
  reg clock = 0, held = 1;
  reg [31:0] data;
  integer beat = 0, n;
  always #5 clock = !clock;
  assign {clock} = {{3'b0, clock}};
  {drive_resets}
  assign MAXIGP0AWBURST = 1, MAXIGP0ARBURST = 1, MAXIGP0AWLEN = 1, MAXIGP0ARLEN = 1;
  assign MAXIGP0AWSIZE = 2, MAXIGP0ARSIZE = 2, MAXIGP0AWID = 5, MAXIGP0ARID = 9;
  assign MAXIGP0WSTRB = 15, MAXIGP0WDATA = data, MAXIGP0WLAST = beat == 1;
  assign MAXIGP0BREADY = 1, MAXIGP0RREADY = 1, {memory}ARREADY = 0;
  always @(posedge clock) if (MAXIGP0RVALID)
    $display("read %h %0d %0d %b", MAXIGP0RDATA[31:0], MAXIGP0RRESP, MAXIGP0RID, MAXIGP0RLAST);
  initial begin
    MAXIGP0AWVALID = 0; MAXIGP0ARVALID = 0; MAXIGP0WVALID = 0;
    repeat (20) @(posedge clock);
    $display("held %b %h", {memory}ARVALID, {memory}ARADDR);
    held = 0;
    repeat (20) @(posedge clock);
    MAXIGP0AWADDR <= {base} + 4; MAXIGP0AWVALID <= 1; MAXIGP0WVALID <= 1; data <= 32'h12345678;
    while (beat < 2) begin
      @(posedge clock);
      if (MAXIGP0AWREADY) MAXIGP0AWVALID <= 0;
      if (MAXIGP0WREADY) begin
        beat = beat + 1; data <= 32'h1000; MAXIGP0WVALID <= beat < 2;
      end
    end
    while (!MAXIGP0BVALID) @(posedge clock);
    $display("written %0d %0d", MAXIGP0BRESP, MAXIGP0BID);
    $display("interrupt %h", {irq});
    $display("memory %b %h %0d", {memory}ARVALID, {memory}ARADDR, {memory}ARLEN);
    for (n = 0; n < 2; n = n + 1) begin
      @(posedge clock);
      MAXIGP0ARADDR <= n ? {base} - 8 : {base} + 4; MAXIGP0ARVALID <= 1;
      @(posedge clock);
      while (!MAXIGP0ARREADY) @(posedge clock);
      MAXIGP0ARVALID <= 0;
      while (!(MAXIGP0RVALID && MAXIGP0RLAST)) @(posedge clock);
    end
    @(posedge clock) $finish;
  end
endmodule
"""


def model_of(kind: str, text: str) -> str:
    """A model of the primitive; other ports that the logic connects are there and do nothing."""
    ports = KINDS[kind]
    seven = kind == "ps7"
    config = ports.master_config
    prefix = ports.memory[0]
    names = {
        line.split("(")[0].strip(" .")
        for line in text.partition(f"  {ports.primitive} ps (")[2].partition(");\n")[0].splitlines()
        if line.strip().startswith(f".{prefix}")
    }
    spoken = {f"{prefix}{name}" for name in ("ARVALID", "ARLEN", "ARREADY", "ARADDR")}
    return PROGRAM.format(
        primitive=ports.primitive,
        clock=ports.clock,
        resets="output [3:0] FCLKRESETN," if seven else "",
        drive_resets="assign FCLKRESETN = {3'b0, !held};" if seven else "",
        constants="".join(f"input [{n - 1}:0] {name}, " for name, _, n in ports.constants),
        irq=ports.interrupt,
        irq_high=ports.interrupt_bits - 1,
        address_high=config.address_bits - 1,
        id_high=config.id_bits - 1,
        length_high=ports.length_bits - 1,
        lock_high=ports.lock_bits - 1,
        size_high=ports.size_bits - 1,
        data_high=ports.master_data_bits - 1,
        strobe_high=ports.master_data_bits // 8 - 1,
        memory=prefix,
        memory_address_high=ports.memory_address_bits - 1,
        others="".join(f", input {name}" for name in sorted(names - spoken)),
        base=f"{config.address_bits}'h{BASES[kind]:x}",
    )


@installed
@pytest.mark.parametrize("kind", KINDS)
def test_accesses_reset_and_interrupt(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(boards.zynq, "Peripheral", Small)
    arguments = (load_architecture("tiny"), "xc7", kind, BASES[kind], True)
    text = to_verilog(ZynqSystem(*arguments), "nomul")
    (tmp_path / "nomul.v").write_text(text)
    (tmp_path / "model.v").write_text(model_of(kind, text))
    command = ["iverilog", "-g2012", "-s", "nomul", "-o", "out", "nomul.v", "model.v"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    done = subprocess.run(["vvp", "-n", "out"], cwd=tmp_path, capture_output=True, text=True)
    digits = 8 if kind == "ps7" else 13
    assert done.stdout.splitlines() == [
        f"held 1 {0x55:0{digits}x}",
        "written 0 5",
        "interrupt 00001" if kind == "ps7" else "interrupt 01",
        f"memory 1 {0x1000:0{digits}x} 15",
        "read 12345678 0 9 0",
        "read 00001000 0 9 1",
        "read 00000000 3 9 0",
        "read 00000000 3 9 1",
    ]


@pytest.mark.parametrize("has_led", (False, True))
def test_its_only_port(has_led):
    system = ZynqSystem(load_architecture("tiny"), "xc7", "ps7", BASES["ps7"], has_led)
    assert list(system.signature.members) == ["led"] * has_led
    system._MustUse__silence = True
