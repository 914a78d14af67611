"""Proofs of properties of small designs, by Yosys and the ABC that comes with it."""

import importlib.util
import re
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from rtl.verilog import require_yosys, run_yosys

__all__ = ["holds"]

# The reset is not part of the question: registers begin with their initial values, and those that a
# reset leaves alone with 0.
_SCRIPT = """
read_rtlil in.il
hierarchy -top top
proc
flatten
delete -input top/w:rst
delete -output
setundef -undriven -zero top
opt_clean
memory -nomap
memory_map
opt -full
async2sync
chformal -lower
techmap
opt -fast
dffunmap
simplemap
setundef -zero
aigmap
opt_clean
write_aiger -I -B -zinit out.aig
exec -- "{abc}" -q "read_aiger out.aig; fold; strash; {method}" > status.txt
"""


def holds(design: wiring.Component, depth: int | None = None, seconds: int = 120) -> bool:
    """Whether the assertions of a design hold wherever its assumptions have held so far.

    Parameters
    ----------
    design : wiring.Component
        With assertions and assumptions in its combinational domain; its inputs may be anything in
        every cycle.
    depth : int, optional
        Cycles from the first state on that are looked at. Without it, all: the proof is by property
        directed reachability, which finds the invariant that it needs.
    seconds : int
        After which the solver gives up.

    Errors: :class:`NoMulError` if pyosys is missing; ``TimeoutError`` if the solver gave up.
    """
    require_yosys()
    package = importlib.util.find_spec("pyosys")
    assert package is not None and package.origin is not None
    abc = Path(package.origin).parent / "yosys-abc"
    method = f"pdr -T {seconds}" if depth is None else f"bmc3 -F {depth} -T {seconds}"
    source = rtlil.convert(design, name="top", emit_src=False)
    script = _SCRIPT.format(abc=abc, method=method)
    status = run_yosys(script, {"in.il": source}, ("status.txt",))["status.txt"]
    if re.search(r"was asserted in frame", status):
        return False
    if re.search(r"Property proved|No output (was )?asserted in|explored all frames", status):
        return True
    raise TimeoutError(f"no proof in {seconds} seconds: {status.strip()[-300:]}")
