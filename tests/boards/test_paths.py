"""Longest paths of netlists made by hand."""

import random

import pytest

from boards.delays import CellTiming
from boards.paths import FANOUT_PS, ROUTE_PS, longest_paths, route_ps

LAUNCH, CE, LUT, CARRY, MUX, RAM, READ = 303, 109, 500, 200, 220, 1500, 640

INPUTS = {"LUT2": 2, "LUT3": 3, "LUT6": 6}


def cell(kind, inputs, outputs, name=""):
    """A cell of Yosys's JSON; a single net stands for a port of one bit."""
    nets = {port: [n] if isinstance(n, int | str) else n for port, n in (inputs | outputs).items()}
    return {
        "type": kind,
        "parameters": {},
        "attributes": {"src": name},
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": nets,
    }


def ff(d, q, ce="1"):
    return cell("FDRE", {"C": 0, "D": d, "CE": ce}, {"Q": q})


def lut(kind, inputs, output):
    return cell(kind, {f"I{i}": net for i, net in enumerate(inputs)}, {"O": output})


def carry(ci, s, di, co, o):
    return cell("CARRY4", {"CI": ci, "S": s, "DI": di}, {"CO": co, "O": o})


def arcs(outputs, inputs, ps):
    return {(i, o): ps for o in outputs for i in inputs}


def pins(port, count=4):
    return [(port, i) for i in range(count)]


TIMINGS = {
    ("FDRE", ()): CellTiming(
        launch={("Q", 0): LAUNCH}, setup={("D", 0): 0, ("CE", 0): CE}, clocks={("C", 0)}
    ),
    **{
        (kind, ()): CellTiming(arcs([("O", 0)], [(f"I{i}", 0) for i in range(count)], LUT))
        for kind, count in INPUTS.items()
    },
    ("LUT6_2", ()): CellTiming(arcs([("O5", 0), ("O6", 0)], [("I0", 0)], LUT)),
    ("CARRY4", ()): CellTiming(
        arcs(pins("CO") + pins("O"), [("CI", 0), *pins("S"), *pins("DI")], CARRY)
    ),
    ("MUXF7", ()): CellTiming(arcs([("O", 0)], [("I0", 0), ("I1", 0), ("S", 0)], MUX)),
    ("RAM32M", ()): CellTiming(
        arcs([("DOA", 0)], [("ADDRA", 0)], READ),
        {("DOA", 0): RAM},
        {("DIA", 0): 400},
        {("WCLK", 0)},
    ),
}


def walk(cells, names=None, ports=None, owners=None):
    module = {
        "ports": ports or {},
        "cells": cells,
        "netnames": {name: {"bits": bits} for name, bits in (names or {}).items()},
    }
    return longest_paths(module, dict.fromkeys(cells, "b") | (owners or {}), TIMINGS)


def test_two_tables():
    cells = {
        "$a": ff("0", 1),
        "$x": lut("LUT2", [1, "1"], 2),
        "$y": lut("LUT3", [2, "0", "0"], 3),
        "$b": ff(3, 4),
    }
    found = walk(cells, {"a.first": [9, 1], "b.second": [4], "other": [4]}, owners={"$a": "a"})
    # Nothing ends in a: the constant at its register is no path.
    assert set(found) == {"b"}
    path = found["b"].slowest
    # The second table stands in front of its register, in one slice.
    assert path.ns == (LAUNCH + ROUTE_PS + LUT + ROUTE_PS + LUT) / 1000
    assert (path.levels, path.chains) == (2, 0)
    assert str(path) == "a.first[1] 1> LUT2 1> LUT3 1> b.second"
    assert found["b"].deepest == {0: path}


def test_many_targets_and_an_enable():
    cells = {"$a": ff("0", 1), "$x": lut("LUT2", [1, 1], 2), "$b": ff("0", 3, ce=2)}
    cells |= {f"$more{i}": ff(1, 10 + i) for i in range(6)}
    path = walk(cells, {"b.s": [3]})["b"].slowest
    assert path.targets == (8, 1)
    assert path.ns == (LAUNCH + route_ps(8) + LUT + ROUTE_PS + CE) / 1000
    assert route_ps(8) == ROUTE_PS + 3 * FANOUT_PS
    assert path.end == "b.s (CE)"


def adder(first, second):
    """A register, a table in front of a chain of two cells, a register."""
    return {
        "$a": ff("0", 1),
        "$x": lut("LUT2", [1, "0"], 2),
        "$low": carry("0", [2, "0", "0", "0"], ["0"] * 4, [20, 21, 22, 23], [24, 25, 26, 27]),
        "$high": carry(first, second, ["0"] * 4, [30, 31, 32, 33], [34, 35, 36, 37]),
        "$b": ff(37, 4),
    }


def test_a_chain():
    found = walk(adder(23, ["0"] * 4))["b"]
    path = found.slowest
    # Table and chain stand in one column of slices, and so does the register behind them.
    assert path.ns == (LAUNCH + ROUTE_PS + LUT + 2 * CARRY) / 1000
    assert (path.levels, path.chains) == (0, 1)
    assert path.cells == ("LUT2", "CARRY4*2")
    assert path.targets == (1, 1, 1)


def test_two_chains():
    cells = adder("0", [3, "0", "0", "0"]) | {"$y": lut("LUT2", [27, "0"], 3)}
    path = walk(cells)["b"].slowest
    assert path.cells == ("LUT2", "CARRY4", "LUT2", "CARRY4")
    assert (path.levels, path.chains) == (0, 2)
    assert path.ns == (LAUNCH + 2 * ROUTE_PS + 2 * LUT + 2 * CARRY) / 1000


def test_a_table_of_two_chains_belongs_to_none():
    cells = adder("0", ["0", 2, "0", "0"])
    assert walk(cells)["b"].slowest.levels == 1


def test_a_table_with_two_outputs():
    cells = {
        "$a": ff("0", 1),
        "$x": cell("LUT6_2", {"I0": 1}, {"O5": 2, "O6": 3}),
        "$low": carry("0", [3, "0", "0", "0"], [2, "0", "0", "0"], [20, 21, 22, 23], [24] * 4),
        "$b": ff(24, 4),
    }
    within = walk(cells)["b"]
    assert within.slowest.ns == (LAUNCH + ROUTE_PS + LUT + CARRY) / 1000
    # One bit further up the same output has to leave its slice, and counts as a table.
    cells["$low"]["connections"]["DI"] = ["0", 2, "0", "0"]
    further = walk(cells)["b"].slowest
    assert further.ns == (LAUNCH + 2 * ROUTE_PS + LUT + CARRY) / 1000
    assert (further.levels, further.chains) == (1, 1)


def test_the_deepest_is_not_the_slowest():
    cells = {
        "$a": ff("0", 1),
        "$wide": ff("0", 2),
        "$x": lut("LUT2", [1, "0"], 3),
        "$y": lut("LUT2", [3, 2], 4),
        "$b": ff(4, 5),
    }
    cells |= {f"$more{i}": ff(2, 100 + i) for i in range(2**8)}
    found = walk(cells, {"deep": [1], "wide": [2]})["b"]
    assert (found.slowest.start, found.slowest.levels) == ("wide", 1)
    assert (found.deepest[0].start, found.deepest[0].levels) == ("deep", 2)


@pytest.mark.parametrize(("port", "levels", "route"), [("I0", 1, 0), ("S", 2, ROUTE_PS)])
def test_wide_multiplexers(port, levels, route):
    cells = {
        "$a": ff("0", 1),
        "$x": lut("LUT2", [1, "0"], 2),
        "$m": cell("MUXF7", {"I0": "0", "I1": "0", "S": "0"} | {port: 2}, {"O": 3}),
        "$b": ff(3, 4),
    }
    path = walk(cells)["b"].slowest
    assert path.levels == levels
    assert path.ns == (LAUNCH + ROUTE_PS + LUT + route + MUX) / 1000


def test_small_memories():
    cells = {
        "$a": ff("0", 1),
        "m.x": cell("RAM32M", {"ADDRA": 1, "DIA": 1, "WCLK": 0}, {"DOA": 2}),
        "$b": ff(2, 3),
    }
    found = walk(cells, {"r": [3]}, owners={"m.x": "m"})
    # From the clock it takes longer than from the address; only the address is a level.
    assert found["b"].slowest.start == "m.x RAM32M DOA[0]"
    assert found["b"].slowest.ns == pytest.approx((RAM + ROUTE_PS) / 1000)
    assert found["b"].deepest[0].levels == 1
    assert found["m"].slowest.end == "m.x RAM32M DIA[0]"
    assert found["m"].slowest.ns == (LAUNCH + route_ps(2) + 400) / 1000


def test_ports_are_registers_outside():
    ports = {
        "i": {"direction": "input", "bits": [1]},
        "o": {"direction": "output", "bits": [2]},
    }
    names = {"i": [1], "o": [2]}
    found = walk({"$x": lut("LUT2", [1, "0"], 2)}, names, ports)
    path = found[""].slowest
    assert (path.start, path.end) == ("input i", "output o[0]")
    assert path.ns == (LAUNCH + 2 * ROUTE_PS + LUT) / 1000


def test_a_loop():
    cells = {"$x": lut("LUT2", [1, 2], 2), "$a": ff("0", 1)}
    with pytest.raises(RuntimeError, match=r"form a loop: \$x"):
        walk(cells)


def test_an_output_without_a_time():
    cells = {"$x": cell("RAM32M", {"WCLK": 0}, {"DOB": 1}), "$b": ff(1, 2)}
    with pytest.raises(RuntimeError, match=r"no time is known of DOB of a RAM32M, \$x"):
        walk(cells)


@pytest.mark.parametrize("seed", range(5))
def test_every_way_through_random_logic(seed):
    """Against the enumeration of all paths."""
    rng = random.Random(seed)
    cells = {f"$r{net}": ff("0", net) for net in range(1, 5)}
    tables = {}
    for net in range(10, 26):
        sources = rng.sample([*range(1, 5), *tables], 3)
        tables[net] = sources
        cells[f"$t{net}"] = lut("LUT3", sources, net)
    cells |= {f"$e{net}": ff(net, 100 + net) for net in tables}
    targets = {net: 0 for net in [*range(1, 5), *tables]}
    for sources in (*tables.values(), tables):
        for net in sources:
            targets[net] += 1

    def ways(net):
        if net not in tables:
            return [(LAUNCH, 0)]
        return [
            (ps + route_ps(targets[source]) + LUT, levels + 1)
            for source in tables[net]
            for ps, levels in ways(source)
        ]

    ends = [
        (ps + (0 if targets[net] == 1 else route_ps(targets[net])), levels)
        for net in tables
        for ps, levels in ways(net)
    ]
    found = walk(cells)["b"]
    assert found.slowest.ns == max(ends)[0] / 1000
    assert found.deepest[0].levels == max(levels for _, levels in ends)
