"""Delays of 7-series cells: what Yosys's own simulation models state in their specify blocks.

Yosys took them from Project X-Ray's measurements of Vivado's timing of Artix-7, speed grade -1,
slow corner; Zynq-7000 up to the XC7Z020 has the same fabric. Yosys itself evaluates them, so that
a cell whose delays depend on its parameters (DSP48E1) has those of its own parameters.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from rtl.verilog import run_yosys

__all__ = ["CellTiming", "Kind", "Pin", "cell_timings", "kind_of"]

Pin = tuple[str, int]
"""Port and bit."""
Kind = tuple[str, tuple[tuple[str, str], ...]]
"""Type of a cell, and its parameters in the order of their names."""

# Yosys's models leave these out. One LUT6_2 is a LUT6 with a second output, and the highest address
# bit of a memory of 64 words is the fastest input of its look-up tables.
_LUT = {"I0": 642, "I1": 631, "I2": 472, "I3": 407, "I4": 238, "I5": 127}
_LEFT_OUT: dict[str, dict[tuple[Pin, Pin], int]] = {
    "LUT6_2": {
        ((pin, 0), (output, 0)): ps
        for output in ("O5", "O6")
        for pin, ps in _LUT.items()
        if (output, pin) != ("O5", "I5")
    },
    "RAM64M": {((f"ADDR{x}", 5), (f"DO{x}", 0)): _LUT["I5"] for x in "ABCD"},
}


@dataclass
class CellTiming:
    """Times of one kind of cell, in picoseconds.

    Parameters
    ----------
    arcs : dict of (input, output) to ps
        From an input to an output that follows it without a clock.
    launch : dict of output to ps
        From the clock's edge to the output.
    setup : dict of input to ps
        How long before the edge it must be there.
    clocks : set of input
    """

    arcs: dict[tuple[Pin, Pin], int] = field(default_factory=dict)
    launch: dict[Pin, int] = field(default_factory=dict)
    setup: dict[Pin, int] = field(default_factory=dict)
    clocks: set[Pin] = field(default_factory=set)


def kind_of(cell: dict) -> Kind:
    """Kind of a cell of Yosys's JSON."""
    return cell["type"], tuple(sorted(cell["parameters"].items()))


def cell_timings(kinds: Iterable[Kind]) -> dict[Kind, CellTiming]:
    """Times of kinds of cells.

    Where several conditions give several times, the longest counts.

    Raises
    ------
    NoMulError
        If pyosys is missing.
    RuntimeError
        If Yosys states no times of a kind.
    """
    ordered = sorted(set(kinds))
    lines = ["module probe();"]
    for index, (name, parameters) in enumerate(ordered):
        given = ", ".join(f".{key}({_literal(value)})" for key, value in parameters)
        lines.append(f"{name} #({given}) cell_{index} ();")
    lines.append("endmodule")
    # Bodies are not needed, and folding constants would join the ports that the times name.
    script = (
        "read_verilog -specify -noopt +/xilinx/cells_sim.v",
        "read_verilog probe.v",
        "hierarchy -top probe",
        "delete p:*",
        "write_json out.json",
    )
    inputs = {"probe.v": "\n".join(lines)}
    modules = json.loads(run_yosys("\n".join(script), inputs, ("out.json",))["out.json"])["modules"]
    probe = modules["probe"]["cells"]
    found = {}
    for index, kind in enumerate(ordered):
        timing = _timing(modules[probe[f"cell_{index}"]["type"]])
        timing.arcs |= _left_out(kind)
        if not (timing.arcs or timing.launch):
            raise RuntimeError(f"Yosys knows no times of the cell {kind[0]}")
        found[kind] = timing
    return found


def _left_out(kind: Kind) -> dict[tuple[Pin, Pin], int]:
    """Arcs that Yosys's models do not have; of a LUT6_2 those that its truth tables have.

    The majority bit of a ternary adder goes through the next look-up table only to its parity, not
    to its own majority: without looking at the tables a chain of them would seem to ripple.
    """
    arcs = _LEFT_OUT.get(kind[0], {})
    init = dict(kind[1]).get("INIT")
    if kind[0] != "LUT6_2" or init is None:
        return arcs
    table = int(init, 2)
    tables = {"O5": table & (1 << 32) - 1, "O6": table}
    return {
        (pin, output): ps
        for (pin, output), ps in arcs.items()
        if _depends(tables[output[0]], 32 if output[0] == "O5" else 64, int(pin[0][1:]))
    }


def _depends(table: int, rows: int, place: int) -> bool:
    """Whether a truth table's value changes with one of its inputs."""
    return any((table >> row ^ table >> (row ^ 1 << place)) & 1 for row in range(rows))


def _literal(value: str) -> str:
    """A parameter of Yosys's JSON, where numbers are strings of bits, in Verilog."""
    return f"{len(value)}'b{value}" if value.strip("01xz") == "" else json.dumps(value.rstrip(" "))


def _timing(module: dict) -> CellTiming:
    pins = {
        bit: (port, index)
        for port, description in module["ports"].items()
        for index, bit in enumerate(description["bits"])
    }
    timing = CellTiming()

    def keep(table: dict, key, cell: dict, parameters: tuple[str, ...]) -> None:
        bits = [cell["parameters"][name] for name in parameters]
        # Undefined where the parameters leave no such path.
        if not any("x" in number for number in bits):
            table[key] = max(table.get(key, 0), *(int(number, 2) for number in bits))

    rise_and_fall = ("T_RISE_MAX", "T_FALL_MAX")
    for cell in module["cells"].values():
        if not cell["type"].startswith("$spec"):
            continue
        source, target = ([pins[bit] for bit in cell["connections"][k]] for k in ("SRC", "DST"))
        if cell["type"] == "$specrule":
            timing.clocks.update(target)
            for pin in source:
                keep(timing.setup, pin, cell, ("T_LIMIT_MAX",))
        elif cell["type"] == "$specify3":
            timing.clocks.update(source)
            for pin in target:
                keep(timing.launch, pin, cell, rise_and_fall)
        elif int(cell["parameters"]["FULL"], 2):
            for pair in ((a, b) for a in source for b in target):
                keep(timing.arcs, pair, cell, rise_and_fall)
        else:
            for pair in zip(source, target, strict=True):
                keep(timing.arcs, pair, cell, rise_and_fall)
    return timing
