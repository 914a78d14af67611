"""Flattened netlists in cells of Xilinx parts, from Yosys, kept in the cache."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from boards.ownership import assign_owners
from rtl.cache import Cache, digest
from rtl.design import Design
from rtl.verilog import PROGRESS, run_yosys

__all__ = ["Netlist", "netlist", "netlist_key", "silent"]

# What the user reads, and the phases of synth_xilinx meanwhile, in their order.
_PHASES = (
    ("flattening", ("begin", "prepare")),
    ("arithmetic", ("map_dsp", "coarse")),
    ("memories", ("map_memory", "map_ffram")),
    ("carry chains and flip-flops", ("fine", "map_cells", "map_ffs")),
    ("look-up tables", ("map_luts",)),
    ("checking", ("finalize", "check")),
)
# What no report needs and what would fill most of the netlist's file; the tables of a LUT6_2 say
# which of its inputs its outputs follow. Of the wires those keep their
# names that a register drives: a path of the timing report begins and ends there.
_TRIM = (
    "delete t:$scopeinfo",
    "setattr -unset src t:LUT* t:INV t:MUXF* w:*",
    "setparam -unset INIT t:LUT1 t:LUT2 t:LUT3 t:LUT4 t:LUT5 t:LUT6",
    "select -set registers t:FD* %co1:+[Q] w:* %i",
    "rename -hide w:* @registers %d",
)
# Amaranth names a field of an array `name[0]`, as ABC9 does the lowest bit of `name`: where such an
# array is a port, ABC9 fails.
_HIDE_FIELDS = "rename -hide w:*[[]*"
# Cells whose outputs follow only some of their inputs, as their tables say.
_WITH_TABLES = ("LUT6_2",)
_NETLIST = "netlist.json.gz"


@dataclass(frozen=True)
class Netlist:
    """A design in the cells of a family.

    Parameters
    ----------
    design : str
        Name of the top.
    blocks : tuple of str
        Dotted paths of all blocks of the hierarchy; the top's is empty.
    module : dict
        ``ports``, ``cells`` and ``netnames`` as in Yosys's JSON; of the cells' parameters all but
        initial contents, of the nets those with a name of the design.
    """

    design: str
    blocks: tuple[str, ...]
    module: dict

    def owners(self) -> dict[str, str]:
        """Block of every cell, by the cell's name; see :mod:`boards.ownership`."""
        found = assign_owners(self.module, self.design, set(self.blocks))
        return {name: ".".join(owner) for name, owner in found.items()}


def silent(message: str) -> None:
    """A listener that shows nothing."""


def netlist_key(design: Design, family: str) -> str:
    """Hash of all that decides a netlist."""
    return digest(design.key, family, _script(design.name, [], family), _WITH_TABLES)


def netlist(
    design: Design,
    family: str,
    progress: Callable[[str], None] = silent,
    cache: Cache | None = None,
) -> Netlist:
    """Synthesize a design, or take the netlist from the cache.

    Yosys's ``synth_xilinx`` on the flattened design, without pads and clock buffers.

    Parameters
    ----------
    design : Design
    family : str
        One of :data:`boards.resources.FAMILIES`.
    progress : function of str
        Called with what is being done.
    cache : Cache, optional

    Raises
    ------
    NoMulError
        If pyosys is missing or the cache cannot be written.
    """

    def build(folder: Path) -> None:
        text = json.dumps(_synthesize(design, family, progress))
        # No time in the file: the same netlist is the same bytes.
        (folder / _NETLIST).write_bytes(gzip.compress(text.encode(), compresslevel=4, mtime=0))

    entry = (cache or Cache()).entry("netlist", netlist_key(design, family), build)
    kept = json.loads(gzip.decompress((entry / _NETLIST).read_bytes()))
    return Netlist(design.name, tuple(kept["blocks"]), kept["module"])


def _script(top: str, modules: list[str], family: str) -> str:
    # The attribute survives the mapping to flip-flops, carry chains and memories.
    lines = ["read_rtlil in.il", "proc"]
    lines += [f'setattr -set src "{name}" {name}/c:* {name}/m:*' for name in modules]
    lines += [f"hierarchy -top {top}"]
    for text, phases in _PHASES:
        lines.append(f"log {PROGRESS}{top}: {text}")
        if "map_luts" in phases:
            lines.append(_HIDE_FIELDS)
        for phase in phases:
            lines.append(
                f"synth_xilinx -family {family} -flatten -noiopad -noclkbuf -run {phase}:{phase}"
            )
    # Without the selection the file would hold the vendor's library too.
    return "\n".join((*lines, *_TRIM, f"select {top}", "write_json -selected out.json"))


def _synthesize(design: Design, family: str, progress: Callable[[str], None]) -> dict:
    progress(f"{design.name}: elaborating")
    rtlil = design.rtlil()
    # Amaranth names a module by its place, so every module is one block.
    modules = re.findall(r"^module \\(\S+)$", rtlil, re.MULTILINE)
    script = _script(design.name, modules, family)
    text = run_yosys(script, {"in.il": rtlil}, ("out.json",), progress)["out.json"]
    module = json.loads(text)["modules"][design.name]
    for cell in module["cells"].values():
        parameters = cell["parameters"].items()
        if cell["type"] not in _WITH_TABLES:
            cell["parameters"] = {key: v for key, v in parameters if not key.startswith("INIT")}
        cell["attributes"] = {k: v for k, v in cell["attributes"].items() if k == "src"}
    names = {key: net for key, net in module["netnames"].items() if not net["hide_name"]}
    return {
        "blocks": [".".join(name.split(".")[1:]) for name in modules],
        "module": {"ports": module["ports"], "cells": module["cells"], "netnames": names},
    }
