"""Netlists of single blocks, and the proof that a netlist does what its RTL does.

The netlist is the Verilog that synthesis wrote, in cells of Xilinx 7-series parts. Both sides are
flattened, and Yosys proves for every register and output that, if all of them were equal in a
cycle, they are equal in the next (induction over SAT); vendor cells are what ``cells_sim.v`` says.
Memories are not covered: use it on blocks of logic and registers.
"""

import re
from dataclasses import dataclass

from amaranth.lib import wiring

from rtl.verilog import run_yosys, to_rtlil

__all__ = ["Proof", "prove", "synthesize"]

# Pads and clock buffers belong to a whole design, not to a block.
_SYNTHESIZE = """
read_rtlil in.il
synth_xilinx -family xc7 -nosrl -flatten -noiopad -noclkbuf -top top
write_verilog -noexpr netlist.v
"""

# Wires between registers need not exist in a netlist, and where a name is left it may mean
# nothing: only registers and ports keep theirs and are compared.
_PROVE = """
read_rtlil in.il
hierarchy -top top
flatten
proc
opt_clean
select -set registers t:$*ff* %co1:+[Q] w:* %i
rename -hide w:* @registers %d
design -stash gold

read_verilog netlist.v
read_verilog +/xilinx/cells_sim.v
hierarchy -check -top top
proc
flatten -wb
proc
delete =t:$specify*
opt_clean
design -stash gate

design -copy-from gold -as gold top
design -copy-from gate -as gate top
equiv_make gold gate equiv
hierarchy -top equiv
clean -purge
equiv_simple -undef equiv
equiv_induct -undef -seq 9 equiv
tee -o status.txt equiv_status equiv
"""


@dataclass(frozen=True)
class Proof:
    """Outcome of :func:`prove`.

    Parameters
    ----------
    points : int
        Bits of registers and outputs that were compared.
    unproven : tuple of str
        Names, with their bits, of those that could not be proven equal.
    """

    points: int
    unproven: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the netlist does in every cycle what the RTL does."""
        return self.points > 0 and not self.unproven


def synthesize(component: wiring.Component) -> str:
    """Verilog netlist of a block, module ``top``, in 7-series cells: LUT, CARRY4, FDRE.

    Errors: ``NoMulError`` where pyosys is missing.
    """
    inputs = {"in.il": to_rtlil(component, "top")}
    return run_yosys(_SYNTHESIZE, inputs, ("netlist.v",))["netlist.v"]


def prove(component: wiring.Component, netlist: str) -> Proof:
    """Compare a netlist of :func:`synthesize` with the block that it was made of.

    Errors: ``NoMulError`` where pyosys is missing, ``RuntimeError`` where the netlist is no
    Verilog or has other ports than the block.
    """
    inputs = {"in.il": to_rtlil(component, "top"), "netlist.v": netlist}
    status = run_yosys(_PROVE, inputs, ("status.txt",))["status.txt"]
    points = re.search(r"Found (\d+) \$equiv cells", status)
    unproven = re.findall(r"Unproven \$equiv \S+ \\(\S+)_gold ?(\[\d+\])?", status)
    return Proof(int(points[1]) if points else 0, tuple(name + bit for name, bit in unproven))
