"""Open synthesis for Xilinx parts: what a design takes, in all and block by block."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from boards.ownership import assign_owners
from boards.parts import Part
from boards.resources import CELLS, FREE_CELLS, NAMES, Resources
from quant.errors import NoMulError
from rtl.cache import Cache, digest
from rtl.design import Design
from rtl.verilog import PROGRESS, run_yosys

__all__ = ["SynthReport", "synthesize"]

# What the user reads, and the phases of synth_xilinx meanwhile, in their order.
_PHASES = (
    ("flattening", ("begin", "prepare")),
    ("arithmetic", ("map_dsp", "coarse")),
    ("memories", ("map_memory", "map_ffram")),
    ("carry chains and flip-flops", ("fine", "map_cells", "map_ffs")),
    ("look-up tables", ("map_luts",)),
    ("checking", ("finalize", "check")),
)
# What the report does not need and what would fill most of the netlist's file.
_TRIM = (
    "delete t:$scopeinfo",
    "setattr -unset src t:LUT* t:INV t:MUXF* w:*",
    "setparam -unset INIT t:LUT*",
)
# Amaranth names a field of an array `name[0]`, as ABC9 does the lowest bit of `name`: where such
# an array is a port, ABC9 fails. Wires without public names cannot clash, and write shorter.
_HIDE = "rename -hide w:*"


@dataclass(frozen=True)
class SynthReport:
    """What a design takes on a part.

    Look-up tables are counted one each; two small ones that share the inputs of one LUT6, as
    Xilinx's own tools pack them, count as two, so the figure is an upper one.

    Parameters
    ----------
    design : str
        Name of the top.
    part : Part
    blocks : dict of path to Resources
        What each block of the hierarchy takes without the blocks in it; the path is dotted and
        empty for the top.
    """

    design: str
    part: Part
    blocks: dict[str, Resources]

    @property
    def total(self) -> Resources:
        """Sum of all blocks: the flattened netlist."""
        return sum(self.blocks.values(), Resources())

    def grouped(self, depth: int = 1) -> dict[str, Resources]:
        """Blocks down to a depth of the hierarchy, deeper ones added to them."""
        groups: defaultdict[str, Resources] = defaultdict(Resources)
        for path, used in self.blocks.items():
            groups[".".join(path.split(".")[:depth])] += used
        return dict(sorted(groups.items()))

    def share(self, name: str) -> float:
        """Used over available of a resource; 0 where none is used."""
        used, available = getattr(self.total, name), self._available(name)
        if used == 0:
            return 0.0
        return used / available if available else float("inf")

    def _available(self, name: str) -> float:
        # Memory look-up tables come out of the same ones.
        return getattr(self.part.available, "lut" if name == "lutram" else name)

    def check(self, advice: Mapping[str, str]) -> None:
        """Whether the design fits.

        Parameters
        ----------
        advice : mapping of resource to str
            What to shrink where there is too little of it: every name of
            :data:`boards.resources.NAMES`.

        Raises
        ------
        NoMulError
            If it needs more of anything than the part has.
        """
        total = self.total
        over = [name for name in NAMES if getattr(total, name) > self._available(name)]
        if not over:
            return
        worst = max(over, key=self.share)
        groups = self.grouped()
        largest = max(groups, key=lambda path: getattr(groups[path], worst))
        raise NoMulError(
            f"{self.design} does not fit {self.part.name}: "
            + ", ".join(
                f"{name.upper()} {getattr(total, name):g} of {self._available(name):g}"
                for name in over
            )
            + f" (most of the {worst.upper()} in {largest or 'the top'}); {advice[worst]}"
        )

    def to_dict(self) -> dict:
        """For JSON: ``used``, ``available``, ``share`` by resource, and ``blocks``."""
        return {
            "design": self.design,
            "part": self.part.name,
            "used": self.total.to_dict(),
            "available": {name: int(self._available(name)) for name in NAMES},
            "share": {
                # JSON has no infinity.
                name: self.share(name) if self._available(name) else None
                for name in NAMES
            },
            "blocks": {path: used.to_dict() for path, used in self.blocks.items()},
        }


def _silent(message: str) -> None:
    pass


def synthesize(
    design: Design,
    part: Part,
    progress: Callable[[str], None] = _silent,
    cache: Cache | None = None,
) -> SynthReport:
    """Synthesize a design for a part, or take the result from the cache.

    Yosys's ``synth_xilinx`` on the flattened design, without pads; blocks as in
    :mod:`boards.ownership`. Whether it fits is told by :meth:`SynthReport.check`.

    Parameters
    ----------
    design : Design
    part : Part
    progress : function of str
        Called with what is being done.
    cache : Cache, optional

    Raises
    ------
    NoMulError
        If pyosys is missing or the cache cannot be written.
    """
    cache = cache or Cache()

    def build(folder: Path) -> None:
        blocks = _synthesize(design, part.family, progress)
        table = {path: used.to_dict() for path, used in blocks.items()}
        (folder / "blocks.json").write_text(json.dumps(table, indent=1))

    key = digest(design.key, part.family, _script(design.name, [], part.family), _cells_key())
    table = json.loads((cache.entry("synth", key, build) / "blocks.json").read_text())
    blocks = {path: Resources(**used) for path, used in table.items()}
    return SynthReport(design.name, part, blocks)


def _cells_key() -> str:
    return digest({name: cost.to_dict() for name, cost in CELLS.items()})


def _script(top: str, modules: list[str], family: str) -> str:
    # The attribute survives the mapping to flip-flops, carry chains and memories.
    lines = ["read_rtlil in.il", "proc"]
    lines += [f'setattr -set src "{name}" {name}/c:* {name}/m:*' for name in modules]
    lines += [f"hierarchy -top {top}"]
    for text, phases in _PHASES:
        lines.append(f"log {PROGRESS}{top}: {text}")
        if "map_luts" in phases:
            lines.append(_HIDE)
        for phase in phases:
            lines.append(
                f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -run {phase}:{phase}"
            )
    return "\n".join((*lines, *_TRIM, "write_json out.json"))


def _synthesize(
    design: Design, family: str, progress: Callable[[str], None]
) -> dict[str, Resources]:
    progress(f"{design.name}: elaborating")
    rtlil = design.rtlil()
    # Amaranth names a module by its place, so every module is one block.
    modules = re.findall(r"^module \\(\S+)$", rtlil, re.MULTILINE)
    script = _script(design.name, modules, family)
    text = run_yosys(script, {"in.il": rtlil}, ("out.json",), progress)["out.json"]
    module = json.loads(text)["modules"][design.name]
    blocks = {".".join(name.split(".")[1:]): Resources() for name in modules}
    for name, owner in assign_owners(module, design.name, set(blocks)).items():
        blocks[".".join(owner)] += _cost(module["cells"][name]["type"], family)
    return blocks


def _cost(kind: str, family: str) -> Resources:
    if kind in FREE_CELLS:
        return Resources()
    if kind not in CELLS:
        raise RuntimeError(f"the netlist holds a cell {kind}, whose cost is not known")
    if kind == "CARRY4" and family == "xcup":
        # Yosys makes no CARRY8; two CARRY4 take one.
        return Resources(carry=0.5)
    return CELLS[kind]
