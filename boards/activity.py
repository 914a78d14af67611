"""Activity of a netlist: how often its nets change, cycle by cycle.

A block is synthesized to look-up tables, carry chains and flip-flops of 7-series parts, multipliers
too, and every net's value in all cycles is computed at once. Gates have no delay, so a net changes
at most once a cycle: glitches are not in it. That is activity, not power, which also depends on
what a net drives and how far it goes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from amaranth.lib import wiring

from rtl.verilog import run_yosys, to_rtlil

__all__ = ["Waves", "simulate"]

_SYNTHESIZE = """
read_rtlil in.il
synth_xilinx -family xc7 -nosrl -nodsp -flatten -noiopad -noclkbuf -top top
write_json out.json
"""

Bits = list[np.ndarray]


@dataclass(frozen=True)
class Waves:
    """What a netlist did.

    Parameters
    ----------
    outputs : dict of port to int array [cycles]
        Python integers, unsigned.
    toggles : int
        Changes of nets that cells drive, of all cycles.
    nets : int
        Nets that cells drive.
    """

    outputs: dict[str, np.ndarray]
    toggles: int
    nets: int


def simulate(component: wiring.Component, inputs: Mapping[str, np.ndarray], warm: int = 0) -> Waves:
    """Simulate the netlist of a block from its reset on.

    Parameters
    ----------
    component : Component
        Without memories, and without feedback from a register to itself but for its enable.
    inputs : dict of port to int array [cycles]
        Every input, unsigned; wide ones as Python integers.
    warm : int
        First cycles, whose toggles do not count.

    Errors: ``NoMulError`` where pyosys is missing, ``ValueError`` for a netlist with feedback or
    with cells other than those of logic and registers.
    """
    text = run_yosys(_SYNTHESIZE, {"in.il": to_rtlil(component, "top")}, ("out.json",))["out.json"]
    module = json.loads(text)["modules"]["top"]
    cycles = len(next(iter(inputs.values())))
    values: dict[int | str, np.ndarray] = {
        "0": np.zeros(cycles, bool),
        "1": np.ones(cycles, bool),
        "x": np.zeros(cycles, bool),
    }
    for name, port in module["ports"].items():
        if port["direction"] == "input":
            given = inputs.get(name, np.zeros(cycles, np.int64))
            for place, bit in enumerate(port["bits"]):
                values[bit] = np.array([int(word) >> place & 1 for word in given], bool)
    known = set(values)
    evaluate(list(module["cells"].values()), values)
    driven = values.keys() - known
    toggles = sum(int((values[bit][warm:-1] != values[bit][warm + 1 :]).sum()) for bit in driven)
    outputs = {
        name: np.array([assembled(values, port["bits"], cycle) for cycle in range(cycles)], object)
        for name, port in module["ports"].items()
        if port["direction"] == "output"
    }
    return Waves(outputs, toggles, len(driven))


def assembled(values: dict, bits: list, cycle: int) -> int:
    """A port's value in a cycle."""
    return sum(int(values[bit][cycle]) << place for place, bit in enumerate(bits))


def evaluate(cells: list[dict], values: dict) -> None:
    """Add the values of all cells' outputs, each cell when its inputs are known."""
    waiting = cells
    while waiting:
        later = []
        for cell in waiting:
            inputs = {
                port: bits
                for port, bits in cell["connections"].items()
                if cell["port_directions"][port] == "input" and port != "C"
            }
            if all(bit in values for bits in inputs.values() for bit in bits):
                found = {port: [values[bit] for bit in bits] for port, bits in inputs.items()}
                for port, waves in function(cell)(found).items():
                    values.update(zip(cell["connections"].get(port, ()), waves))
            else:
                later.append(cell)
        if len(later) == len(waiting):
            raise ValueError(f"the netlist has feedback through {len(later)} cells")
        waiting = later


def function(cell: dict) -> Callable[[dict[str, Bits]], dict[str, Bits]]:
    """What a cell does. Errors: ``ValueError`` for one that is not known."""
    kind = cell["type"]
    if kind == "INV":
        return lambda inputs: {"O": [~inputs["I"][0]]}
    if kind == "LUT6_2":
        return partial(two_tables, table_of(cell))
    if kind.startswith("LUT"):
        return partial(one_table, table_of(cell))
    if kind in ("MUXF7", "MUXF8"):
        return lambda i: {"O": [np.where(i["S"][0], i["I1"][0], i["I0"][0])]}
    if kind == "CARRY4":
        return carry
    if kind in ("FDRE", "FDSE"):
        return partial(register, kind == "FDSE", cell["parameters"].get("INIT", "0")[-1] == "1")
    raise ValueError(f"the netlist has a cell {kind}")


def table_of(cell: dict) -> np.ndarray:
    """Truth table of a look-up table, bool [rows]."""
    return np.array([digit == "1" for digit in cell["parameters"]["INIT"][::-1]])


def one_table(table: np.ndarray, inputs: dict[str, Bits]) -> dict[str, Bits]:
    """A look-up table."""
    return {"O": [table[row_of(inputs)]]}


def two_tables(table: np.ndarray, inputs: dict[str, Bits]) -> dict[str, Bits]:
    """A look-up table whose lower half is a second output."""
    row = row_of(inputs)
    return {"O6": [table[row]], "O5": [table[row & 31]]}


def row_of(inputs: dict[str, Bits]) -> np.ndarray:
    """Row of a truth table."""
    row = np.zeros(len(inputs["I0"][0]), np.uint8)
    for k in range(len(inputs)):
        row |= inputs[f"I{k}"][0].astype(np.uint8) << k
    return row


def carry(inputs: dict[str, Bits]) -> dict[str, Bits]:
    """Four places of a carry chain."""
    c = inputs["CI"][0] | inputs["CYINIT"][0]
    sums, carries = [], []
    for select, data in zip(inputs["S"], inputs["DI"]):
        sums.append(select ^ c)
        c = np.where(select, c, data)
        carries.append(c)
    return {"O": sums, "CO": carries}


def register(sets: bool, initial: bool, inputs: dict[str, Bits]) -> dict[str, Bits]:
    """A register with enable and synchronous reset, or set."""
    reset = inputs["S" if sets else "R"][0]
    taken = inputs["CE"][0] | reset
    new = np.where(reset, sets, inputs["D"][0])
    last = np.maximum.accumulate(np.where(taken, np.arange(len(taken)), -1))
    held = np.where(last >= 0, new[last], initial)
    return {"Q": [np.concatenate([[initial], held[:-1]])]}
