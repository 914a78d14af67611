"""Longest paths of a netlist in 7-series cells: in time, and in look-up tables and carry chains.

Time is that of the cells (:mod:`boards.delays`) and an allowance for every net, because nothing is
placed. Levels are counted as the slices of the part are built:

* A look-up table, an inverter and the read of a memory of look-up tables are a level each.
* MUXF7 and MUXF8 belong to the look-up tables in front of them; only where a path enters at the
  select input they are a level.
* CARRY4 cells in a row are one chain. The look-up table that makes a chain's input S stands in the
  chain's own slice and is counted as part of it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from math import log2

from boards.delays import CellTiming, Kind, Pin, kind_of

__all__ = ["FANOUT_PS", "ROUTE_PS", "Ends", "Path", "longest_paths", "route_ps"]

ROUTE_PS = 300
"""Allowance for a net with one target: the delay of a wire for which Yosys's synth_xilinx maps."""
FANOUT_PS = 120
"""What every doubling of the targets adds, because their cells lie further apart. With it a net and
the input of a look-up table take 0.6 ns (one target), 0.8 ns (4) and 1.3 ns (60), the size of what
Vivado's reports show for routed Artix-7 and Zynq-7000 designs of speed grade -1."""
PORT_PS = 303
"""When an input is there: clock to output of an FDRE outside."""

_LEVEL = ("LUT", "INV", "RAM", "SRL")
_MUXES = ("MUXF7", "MUXF8")
_SLICE = ("LUT", "INV", "CARRY4", "MUXF")


def route_ps(targets: int) -> int:
    """Allowance for a net that leaves its slice.

    >>> route_ps(1), route_ps(16)
    (300, 780)
    """
    return round(ROUTE_PS + FANOUT_PS * log2(targets))


@dataclass(frozen=True)
class Path:
    """A way from a register to a register; ports count as registers outside.

    Parameters
    ----------
    start, end : str
        Signal with bit, or memory with port.
    cells : tuple of str
        Types of the cells between; ``CARRY4*3`` is a chain of three.
    targets : tuple of int
        Of the net behind the start and of that behind each cell.
    ns : float
        Setup at the end included; clock skew and uncertainty are not.
    levels, chains : int
        Look-up tables and carry chains as the module counts them.
    """

    start: str
    cells: tuple[str, ...]
    targets: tuple[int, ...]
    end: str
    ns: float
    levels: int
    chains: int

    def __str__(self) -> str:
        """Start, cells, end; before each arrow the number of targets.

        >>> str(Path("a.x[0]", ("LUT6", "CARRY4*2"), (9, 1, 1), "b.y[7]", 2.5, 0, 1))
        'a.x[0] 9> LUT6 1> CARRY4*2 1> b.y[7]'
        """
        steps = (f"{n}> {name}" for n, name in zip(self.targets, (*self.cells, self.end)))
        return " ".join((self.start, *steps))


@dataclass
class Ends:
    """The worst paths that end in one block.

    Parameters
    ----------
    slowest : Path
    deepest : dict of int to Path
        By number of carry chains, the path with most look-up tables among those that have it.
    """

    slowest: Path
    deepest: dict[int, Path] = field(default_factory=dict)


@dataclass(slots=True)
class _Reach:
    """The worst way to a net: the cell before it (None at a start) and the way to that."""

    net: int
    ps: int
    levels: int = 0
    chains: int = 0
    cell: str | None = None
    before: "_Reach | None" = None


def longest_paths(
    module: dict, owners: dict[str, str], timings: dict[Kind, CellTiming]
) -> dict[str, Ends]:
    """Worst paths by the block that owns the register at their end; ports are the top's.

    Parameters
    ----------
    module : dict
        As :class:`boards.xilinx.Netlist` holds it.
    owners : dict of str to str
        Block of every cell, by the cell's name.
    timings : dict of Kind to CellTiming
        Of all kinds of cells in the module.

    Raises
    ------
    RuntimeError
        If cells form a loop, or a net comes from an output of which no time is known.
    """
    walk = _Walk(module, owners, timings)
    walk.propagate()
    return walk.ends()


class _Walk:
    def __init__(
        self, module: dict, owners: dict[str, str], timings: dict[Kind, CellTiming]
    ) -> None:
        self.ports, self.owners, self.cells = module["ports"], owners, module["cells"]
        self.names = _Names(module, owners)
        self.timings = {name: timings[kind_of(cell)] for name, cell in self.cells.items()}
        self.driver: dict[int, tuple[str, Pin]] = {}
        self.targets: Counter[int] = Counter()
        self.selects: Counter[int] = Counter()
        for name, cell in self.cells.items():
            for pin, net in _nets(cell, "output"):
                self.driver[net] = (name, pin)
            for pin, net in _nets(cell, "input"):
                self.targets[net] += 1
                self.selects[net] += cell["type"] == "CARRY4" and pin[0] == "S"
        for port in self.ports.values():
            if port["direction"] == "output":
                self.targets.update(net for net in port["bits"] if isinstance(net, int))
        self.slowest: dict[int, _Reach] = {}
        self.deepest: defaultdict[int, dict[int, _Reach]] = defaultdict(dict)

    def propagate(self) -> None:
        """Worst ways to all nets, in topological order."""
        for port in self.ports.values():
            if port["direction"] == "input":
                for net in port["bits"]:
                    self._reach(_Reach(net, PORT_PS))
        into: defaultdict[int, list[tuple[int, str, Pin, int]]] = defaultdict(list)
        followers: defaultdict[int, list[int]] = defaultdict(list)
        for name, cell in self.cells.items():
            timing, inputs = self.timings[name], dict(_nets(cell, "input"))
            timed = {output for _, output in timing.arcs}
            outputs = dict(_nets(cell, "output"))
            for pin, net in outputs.items():
                if pin in timing.launch:
                    self._reach(_Reach(net, timing.launch[pin], cell=None))
                elif pin not in timed and self.targets[net]:
                    raise RuntimeError(f"no time is known of {pin[0]} of a {cell['type']}, {name}")
            for (source, output), ps in timing.arcs.items():
                if source in inputs and output in outputs:
                    into[outputs[output]].append((inputs[source], name, source, ps))
                    followers[inputs[source]].append(outputs[output])
        waiting = {net: len(arcs) for net, arcs in into.items()}
        ready = [net for net in (*self.slowest, *followers) if net not in waiting]
        ready = list(dict.fromkeys(ready))
        while ready:
            net = ready.pop()
            for arc in into[net]:
                self._extend(net, *arc)
            for follower in followers[net]:
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    ready.append(follower)
        stuck = [self.driver[net][0] for net, count in waiting.items() if count]
        if stuck:
            raise RuntimeError(f"cells form a loop: {', '.join(sorted(set(stuck))[:5])}")

    def _extend(self, net: int, source: int, cell: str, pin: Pin, ps: int) -> None:
        if source not in self.slowest:
            return
        ps += self._route(source, cell, pin)
        levels, chains = self._depth(source, cell, pin)
        for way in (self.slowest[source], *self.deepest[source].values()):
            self._reach(
                _Reach(net, way.ps + ps, way.levels + levels, way.chains + chains, cell, way)
            )

    def _reach(self, way: _Reach) -> None:
        known = self.slowest.get(way.net)
        if known is None or way.ps > known.ps:
            self.slowest[way.net] = way
        deepest = self.deepest[way.net]
        known = deepest.get(way.chains)
        if known is None or (way.levels, way.ps) > (known.levels, known.ps):
            deepest[way.chains] = way

    def _from(self, net: int) -> tuple[str, str]:
        """Type and port of a net's driver."""
        if net not in self.driver:
            return "", ""
        name, (port, _) = self.driver[net]
        return self.cells[name]["type"], port

    def _own(self, net: int, cell: str, pin: Pin) -> bool:
        """Whether a look-up table stands in front of this carry chain, in its slice."""
        if self.cells[cell]["type"] != "CARRY4" or not self._from(net)[0].startswith("LUT"):
            return False
        return pin[0] == "S" and self.selects[net] == 1

    def _continues(self, net: int, cell: str, pin: Pin) -> bool:
        """Whether a carry chain goes on from one cell to the next."""
        return (
            self.cells[cell]["type"] == "CARRY4"
            and pin[0] == "CI"
            and self._from(net) == ("CARRY4", "CO")
        )

    def _shares(self, net: int, cell: str, pin: Pin) -> bool:
        """Whether the second output of a chain's own look-up table enters the chain beside it."""
        if pin[0] != "DI" or self._from(net) != ("LUT6_2", "O5"):
            return False
        first = self.cells[self.driver[net][0]]["connections"]["O6"][0]
        return self.cells[cell]["connections"]["S"][pin[1]] == first

    def _route(self, net: int, cell: str, pin: Pin) -> int:
        """Allowance for the way from a net to a cell's input: 0 within a slice."""
        kind, source = self.cells[cell]["type"], self._from(net)[0]
        if (
            self._own(net, cell, pin)
            or self._continues(net, cell, pin)
            or self._shares(net, cell, pin)
            or (kind in _MUXES and pin[0] != "S")
            or (
                (kind[:2], pin[0]) == ("FD", "D")
                and self.targets[net] == 1
                and source.startswith(_SLICE)
            )
        ):
            return 0
        return route_ps(self.targets[net])

    def _depth(self, net: int, cell: str, pin: Pin) -> tuple[int, int]:
        """Levels and chains that the way through a cell adds."""
        kind = self.cells[cell]["type"]
        if kind == "CARRY4":
            return -self._own(net, cell, pin), not self._continues(net, cell, pin)
        if kind in _MUXES:
            return int(pin[0] == "S"), 0
        return int(kind.startswith(_LEVEL)), 0

    def ends(self) -> dict[str, Ends]:
        """The worst ends of every block."""
        slowest: dict[str, tuple[_Reach, int, str]] = {}
        deepest: defaultdict[str, dict[int, tuple[_Reach, int, str]]] = defaultdict(dict)
        for block, net, ps, end in self._ends():
            for way in (self.slowest[net], *self.deepest[net].values()):
                total = way.ps + ps
                if block not in slowest or total > slowest[block][1]:
                    slowest[block] = (way, total, end)
                known = deepest[block].get(way.chains)
                if known is None or (way.levels, total) > (known[0].levels, known[1]):
                    deepest[block][way.chains] = (way, total, end)
        return {
            block: Ends(
                self._path(*slowest[block]),
                {chains: self._path(*end) for chains, end in sorted(deepest[block].items())},
            )
            for block in sorted(slowest)
        }

    def _ends(self) -> Iterator[tuple[str, int, int, str]]:
        """Block, net, setup with the way to it, and name, of every end that a path reaches."""
        for name, cell in self.cells.items():
            timing = self.timings[name]
            through = {source for source, _ in timing.arcs}
            for pin, net in _nets(cell, "input"):
                # Yosys leaves out some inputs of memories and DSP blocks: they end a path too.
                ends = pin in timing.setup or not (pin in through or pin in timing.clocks)
                if ends and net in self.slowest:
                    ps = timing.setup.get(pin, 0) + self._route(net, name, pin)
                    yield self.owners[name], net, ps, self.names.pin(name, pin)
        for port, description in self.ports.items():
            for index, net in enumerate(description["bits"]):
                if description["direction"] == "output" and net in self.slowest:
                    yield "", net, route_ps(self.targets[net]), f"output {port}[{index}]"

    def _path(self, way: _Reach, ps: int, end: str) -> Path:
        cells: list[str] = []
        targets = [self.targets[way.net]]
        levels, chains, step = way.levels, way.chains, way
        while step.before is not None:
            assert step.cell is not None
            cells.append(self.cells[step.cell]["type"])
            step = step.before
            targets.append(self.targets[step.net])
        shown, counts = _join(cells[::-1], targets[::-1])
        start = self.names.net(step.net, self.driver.get(step.net))
        return Path(start, shown, counts, end, ps / 1000, levels, chains)


def _nets(cell: dict, direction: str) -> Iterator[tuple[Pin, int]]:
    """Pins of a direction, with their nets; constants and open pins left out."""
    for port, nets in cell["connections"].items():
        if cell["port_directions"][port] == direction:
            for index, net in enumerate(nets):
                if isinstance(net, int):
                    yield (port, index), net


def _join(cells: list[str], targets: list[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """CARRY4 cells in a row as one step, with the targets of the last."""
    shown, counts = [], [targets[0]]
    for kind, group in groupby(zip(cells, targets[1:]), key=lambda step: step[0]):
        steps = list(group)
        if kind == "CARRY4" and len(steps) > 1:
            steps = [(f"{kind}*{len(steps)}", steps[-1][1])]
        for name, count in steps:
            shown.append(name)
            counts.append(count)
    return tuple(shown), tuple(counts)


class _Names:
    """Names for people: a register's is that of the signal that it drives."""

    def __init__(self, module: dict, owners: dict[str, str]) -> None:
        self.cells, self.owners = module["cells"], owners
        self.ports = set(module["ports"])
        self.signals: defaultdict[int, list[str]] = defaultdict(list)
        for name, description in module["netnames"].items():
            bits = description["bits"]
            for index, net in enumerate(bits):
                self.signals[net].append(f"{name}[{index}]" if len(bits) > 1 else name)

    def net(self, net: int, driver: tuple[str, Pin] | None) -> str:
        """Name of the start of a path."""
        if driver is None:
            return f"input {min(self.signals[net])}"
        name, (port, index) = driver
        if self.cells[name]["type"].startswith("FD"):
            return self._register(name)
        return f"{self._cell(name)} {port}[{index}]"

    def pin(self, name: str, pin: Pin) -> str:
        """Name of the end of a path."""
        port, index = pin
        if self.cells[name]["type"].startswith("FD"):
            return self._register(name) + ("" if port == "D" else f" ({port})")
        return f"{self._cell(name)} {port}[{index}]"

    def _register(self, name: str) -> str:
        (net,) = self.cells[name]["connections"]["Q"]
        prefix = f"{self.owners[name]}."
        # Of the wires that a register is joined to, the one in its own block, else the shortest.
        names = sorted(self.signals[net], key=lambda n: (not n.startswith(prefix), len(n), n))
        return names[0] if names else self._cell(name)

    def _cell(self, name: str) -> str:
        kind = self.cells[name]["type"]
        return f"{self.owners[name]} {kind}".strip() if name.startswith("$") else f"{name} {kind}"
