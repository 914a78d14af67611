"""Static timing of a netlist, block by block: an estimate, because nothing is placed and routed."""

from collections.abc import Callable
from dataclasses import dataclass

from boards.delays import cell_timings, kind_of
from boards.parts import Part
from boards.paths import Ends, Path, longest_paths
from boards.xilinx import netlist, silent
from quant.errors import NoMulError
from rtl.cache import Cache
from rtl.design import Design

__all__ = ["ARRAY", "LABEL", "SHELL", "Rule", "TimingReport", "estimate", "require_delays"]

LABEL = "estimate, not placed and routed"
"""What stands beside every figure of a report."""


@dataclass(frozen=True)
class Rule:
    """How deep the logic between two registers may be.

    Parameters
    ----------
    name : str
    levels : tuple of int
        The number of look-up tables that a path may have, by its number of carry chains; more
        chains than are listed are forbidden.
    """

    name: str
    levels: tuple[int, ...]

    def allows(self, path: Path) -> bool:
        """Whether a path keeps the rule."""
        return path.chains < len(self.levels) and path.levels <= self.levels[path.chains]


ARRAY = Rule("two LUT levels or one adder", (2, 1))
"""Of engines. An adder of three values has a look-up table in front of the chain's own: the carry
of the bit below."""
SHELL = Rule("four LUT levels and a carry chain", (4, 4))
"""Of all else."""


@dataclass(frozen=True)
class TimingReport:
    """Worst paths of a design.

    Parameters
    ----------
    design : str
    part : Part
    blocks : dict of str to Ends
        By dotted path of a block, empty for the top. A path belongs to the block of the register
        or memory at its end; one to a port of the design, to the top.
    engine : str
        The block that the rule :data:`ARRAY` is for, with all blocks in it; empty for all.
    """

    design: str
    part: Part
    blocks: dict[str, Ends]
    engine: str = "engine"

    @property
    def ns(self) -> float:
        """Shortest clock period that all paths keep."""
        return max((ends.slowest.ns for ends in self.blocks.values()), default=0.0)

    @property
    def mhz(self) -> float:
        """Highest clock that all paths keep; infinite without a path."""
        return 1000 / self.ns if self.ns else float("inf")

    def rule(self, block: str) -> Rule:
        """The rule that a block must keep."""
        inside = not self.engine or block == self.engine or block.startswith(f"{self.engine}.")
        return ARRAY if inside else SHELL

    def violations(self, depth: int | None = None) -> dict[str, list[Path]]:
        """By block, its deepest paths that break its rule; blocks without one are left out.

        Blocks down to a depth of the hierarchy; of all depths without one.
        """
        broken = {
            block: [path for path in ends.deepest.values() if not self.rule(block).allows(path)]
            for block, ends in self.grouped(depth).items()
        }
        return {block: paths for block, paths in broken.items() if paths}

    def grouped(self, depth: int | None = 1) -> dict[str, Ends]:
        """Blocks down to a depth of the hierarchy, the worst of deeper ones taken into them."""
        groups: dict[str, Ends] = {}
        for block, ends in sorted(self.blocks.items()):
            name = ".".join(block.split(".")[:depth])
            groups[name] = _worse(groups[name], ends) if name in groups else ends
        return groups

    def to_dict(self) -> dict:
        """For JSON: ``ns``, ``mhz``, ``blocks`` with their paths, and what breaks a rule."""
        return {
            "design": self.design,
            "part": self.part.name,
            "label": LABEL,
            "ns": self.ns,
            "mhz": self.mhz,
            "blocks": {
                block: {
                    "rule": self.rule(block).name,
                    "slowest": _path(ends.slowest),
                    "deepest": [_path(path) for path in ends.deepest.values()],
                }
                for block, ends in self.blocks.items()
            },
            "violations": {
                block: [_path(path) for path in paths] for block, paths in self.violations().items()
            },
        }


def _worse(one: Ends, other: Ends) -> Ends:
    deepest = dict(one.deepest)
    for chains, path in other.deepest.items():
        if chains not in deepest or path.levels > deepest[chains].levels:
            deepest[chains] = path
    slowest = max(one.slowest, other.slowest, key=lambda path: path.ns)
    return Ends(slowest, dict(sorted(deepest.items())))


def _path(path: Path) -> dict:
    return {"ns": path.ns, "levels": path.levels, "chains": path.chains, "path": str(path)}


def require_delays(part: Part) -> None:
    """Errors: :class:`NoMulError` for a part of another family than 7-series."""
    if part.family != "xc7":
        raise NoMulError(
            f"no cell delays are known of {part.name}, which is no 7-series part: take one that "
            "is, such as xc7z020"
        )


def estimate(
    design: Design,
    part: Part,
    engine: str = "engine",
    progress: Callable[[str], None] = silent,
    cache: Cache | None = None,
) -> TimingReport:
    """Worst paths of a design on a 7-series part; the netlist is taken from the cache or made.

    Parameters
    ----------
    design : Design
    part : Part
    engine : str
        See :class:`TimingReport`.
    progress : function of str
        Called with what is being done.
    cache : Cache, optional

    Raises
    ------
    NoMulError
        If the part is of another family, pyosys is missing or the cache cannot be written.
    RuntimeError
        If the netlist holds a cell of which Yosys knows no times.
    """
    require_delays(part)
    mapped = netlist(design, part.family, progress, cache)
    progress(f"{design.name}: longest paths")
    timings = cell_timings(kind_of(cell) for cell in mapped.module["cells"].values())
    blocks = longest_paths(mapped.module, mapped.owners(), timings)
    return TimingReport(design.name, part, blocks, engine)
