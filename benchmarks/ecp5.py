"""Routed clock of small arrays on ECP5: ``python -m benchmarks.ecp5 [--json FILE] [--save]``.

A regression gate on speed: it fails where an array's median over the seeds has fallen by more than
:data:`MARGIN` below ``benchmarks/results/ecp5.json``.
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

import click

from boards.ecp5 import DEVICE, Routed, require_nextpnr, route
from nomul.output import Stage, stage, table
from nomul.verb import Unmet, Verb
from rtl import engines
from rtl.design import Design

__all__ = ["ARRAYS", "MARGIN", "RESULTS", "SEEDS", "fallen", "main"]

RESULTS = Path(__file__).parent / "results" / "ecp5.json"

ENGINE = "shift_gemm"
COMMON = {"groups": 1, "weights": "w4r", "dsp_columns": 0, "activation_bits": 8}
ARRAYS = {
    "4 columns": {"lanes": 4, "vector_words": 4, **COMMON},
    "16 columns": {"lanes": 16, "vector_words": 1, **COMMON},
}
"""The engine's config by name; all columns have 16 lanes."""

SEEDS = (1, 2, 3)
MARGIN = 0.15
"""Share of the clock that may be lost before the gate closes: the median of three seeds is noisy,
because the seeds of one array alone differ by up to 18 %."""


@click.command(cls=Verb)
@click.option("--save", is_flag=True, help=f"Keep the figures in {RESULTS.name}.")
def main(save: bool) -> dict[str, Any]:
    """Place and route two arrays on ECP5 with three seeds each, and compare with what is kept."""
    version = require_nextpnr()
    found: dict[str, Any] = {"device": DEVICE, "nextpnr": version, "arrays": {}}
    for name, config in ARRAYS.items():
        with stage(f"Route an array of {name}") as progress:
            found["arrays"][name] = measured(config, progress)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else None
    show(found, kept)
    if save:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    elif kept is not None:
        slower = fallen(found, kept)
        if slower:
            raise Unmet("slower than before: " + ", ".join(slower), found)
    return found


def measured(config: dict[str, Any], progress: Stage) -> dict[str, Any]:
    """Config, MHz of every seed, their median, and cells of an array."""
    kind = engines.find(ENGINE)
    design = Design(kind, (kind.Config(**config),), ENGINE)
    routed: list[Routed] = [route(design, seed, progress.say) for seed in SEEDS]
    mhz = [result.mhz for result in routed]
    first = routed[0]
    return {
        "config": config,
        "seeds": list(SEEDS),
        "mhz": mhz,
        "median_mhz": median(mhz),
        "comb": first.comb,
        "ff": first.ff,
        "dsp": first.dsp,
    }


def fallen(found: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """Arrays that are slower than the kept figures by more than :data:`MARGIN`, with both."""
    slower = []
    for name, before in kept["arrays"].items():
        mhz, least = found["arrays"][name]["median_mhz"], before["median_mhz"] * (1 - MARGIN)
        if mhz < least:
            slower.append(f"{name} {mhz:.0f} MHz, at least {least:.0f}")
    return slower


def show(found: dict[str, Any], kept: dict[str, Any] | None) -> None:
    """The table."""
    rows = []
    for name, array in found["arrays"].items():
        before = kept["arrays"][name]["median_mhz"] if kept else None
        rows.append(
            [
                name,
                " ".join(f"{mhz:.0f}" for mhz in array["mhz"]),
                f"{array['median_mhz']:.0f}",
                "" if before is None else f"{before:.0f}",
                array["comb"],
                array["ff"],
                array["dsp"],
            ]
        )
    columns = ["array", "MHz by seed", "median", "kept", "LUT4", "FF", "multipliers"]
    table(f"{ENGINE} routed on {found['device']}", columns, rows)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.ecp5")
