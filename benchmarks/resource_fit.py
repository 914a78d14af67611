"""Fit the resource model to the kept synthesized machines, and check it with the others.

``python -m benchmarks.resource_fit [--save]``: ``--save`` writes the coefficients to
``compiler/model/coefficients.json``. Lanes are as ``python -m benchmarks.lane_costs --save`` kept
them, machines as ``python -m benchmarks.resource_points`` did.
"""

import json
from typing import Any

import click
import numpy as np
from scipy.optimize import nnls

from benchmarks import lane_costs, resource_points
from compiler.model import coefficients
from compiler.model.logic import MEASURED
from compiler.model.resources import all_terms, estimate, memories
from nomul.output import table
from nomul.verb import Unmet, Verb
from rtl.architecture import Architecture

__all__ = ["checks", "fit", "main", "worst"]

BAR = 0.1
SHELL = {
    "features": ("features",),
    "fetch": ("fetch",),
    "pool": ("pool",),
    "accumulator": ("accumulator",),
    "post": ("post",),
    "nests": tuple(
        f"nest_{name}"
        for name in ("activation", "output", "parameter", "residual", "sum", "weight")
    ),
    "control": ("top", "host", "parameters", "queue", "sequencer", "weights", "writeback"),
}
"""Blocks of a machine whose sum is fitted as one."""
PLACES = {part: block for block, parts in SHELL.items() for part in parts}
READ_IN = {"features": "fetch", "queue": "post"}
"""Where the registers are of what is read from memories that are look-up tables."""


def lanes() -> dict[str, Any]:
    """What a lane takes, as it is kept."""
    found: dict[str, Any] = {}
    for key, cost in json.loads(lane_costs.RESULTS.read_text()).items():
        weights, bits, version = key.split(".")
        if version != "log":
            kept = {name: cost[name] for name in ("lut", "ff")}
            found.setdefault(weights, {}).setdefault(version, {})[bits.removeprefix("a")] = kept
    return found


def fit() -> dict[str, Any]:
    """Coefficients that are not negative, by least squares of relative errors of the machines."""
    rows: dict[tuple[str, str], list[tuple[dict[str, float], float, float]]] = {}
    for point in resource_points.load_points():
        if point["use"] != "fit":
            continue
        architecture = Architecture.from_dict(point["machine"])
        blocks = {**SHELL, architecture.engine: ("engine",)}
        counted = dict.fromkeys([("lut", part) for part in blocks] + [("ff", p) for p in blocks], 0)
        for block, mapped in memories(architecture, point["family"]):
            place = PLACES.get(block, architecture.engine)
            counted["lut", place] += mapped.tables
            counted["lut", "control"] += mapped.choice
            counted["ff", READ_IN.get(block, place)] += mapped.ff
        for block, terms in all_terms(architecture, point["family"]).items():
            for resource, values in terms.items():
                total = sum(used[resource] for used in point["blocks"].values())
                seen = sum(point["blocks"][part][resource] for part in blocks[block])
                seen -= counted[resource, block] + values.pop(MEASURED, 0)
                rows.setdefault((resource, block), []).append((values, seen, total))
    found: dict[str, Any] = {"lut": {}, "ff": {}}
    for (resource, block), observed in sorted(rows.items()):
        found[resource][block] = solve(observed)
    return found


def solve(observed: list[tuple[dict[str, float], float, float]]) -> dict[str, float]:
    """Of terms, what is seen and the machine's total, the coefficients of the terms."""
    names = sorted({name for values, _, _ in observed for name in values})
    a = np.array([[values.get(name, 0.0) for name in names] for values, _, _ in observed], float)
    seen = np.array([seen for _, seen, _ in observed])
    weight = 1 / np.array([total for _, _, total in observed])
    scale = np.maximum(np.abs(a).max(axis=0), 1e-9)
    solution, _ = nnls(a / scale * weight[:, None], seen * weight)
    return {name: round(float(c), 6) for name, c in zip(names, solution / scale)}


def checks(uses: tuple[str, ...] = ("check",)) -> list[dict[str, Any]]:
    """Estimates beside what Yosys found, of machines that nothing was fitted to."""
    found = []
    for point in resource_points.load_points():
        if point["use"] not in uses:
            continue
        architecture = Architecture.from_dict(point["machine"])
        guess = estimate(architecture, point["family"])
        row: dict[str, Any] = {"machine": architecture.name, "family": point["family"]}
        row["use"] = point["use"]
        for name in ("lut", "ff", "dsp", "bram"):
            real = sum(used[name] for used in point["blocks"].values())
            row[name], row[f"{name}.estimate"] = real, getattr(guess, name)
        found.append(row)
    return found


def worst(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Largest relative errors of tables and registers, and machines whose rest is not exact."""

    def error(name: str) -> float:
        return max(abs(row[f"{name}.estimate"] / row[name] - 1) for row in rows)

    wrong = [
        row["machine"]
        for row in rows
        if any(row[name] != row[f"{name}.estimate"] for name in ("dsp", "bram"))
    ]
    return {
        "model.machines": len(rows),
        "model.lut_error": error("lut"),
        "model.ff_error": error("ff"),
        "model.inexact": len(wrong),
    }


@click.command(cls=Verb)
@click.option("--save", is_flag=True, help="Write the coefficients that the model uses.")
@click.option("--all", "everything", is_flag=True, help="Show the fitted machines too.")
def main(save: bool, everything: bool) -> dict[str, Any]:
    """Fit and check the resource model."""
    if save:
        text = json.dumps({"lanes": lanes()} | {"terms": {}})
        coefficients.FILE.write_text(text)
        coefficients.coefficients.cache_clear()
        coefficients.lane_cost.cache_clear()
        text = json.dumps({"lanes": lanes(), "terms": fit()}, indent=1)
        coefficients.FILE.write_text(text + "\n")
        coefficients.coefficients.cache_clear()
    rows = checks(("fit", "check") if everything else ("check",))
    table(
        "Estimated beside synthesized",
        ["machine", "family", "use", "LUT", "error", "FF", "error", "DSP", "BRAM36"],
        [
            [
                row["machine"],
                row["family"],
                row["use"],
                f"{row['lut']:,g}",
                f"{row['lut.estimate'] / row['lut'] - 1:+.1%}",
                f"{row['ff']:,g}",
                f"{row['ff.estimate'] / row['ff'] - 1:+.1%}",
                *(f"{row[f'{name}.estimate']:g} of {row[name]:g}" for name in ("dsp", "bram")),
            ]
            for row in rows
        ],
    )
    figures = worst([row for row in rows if row["use"] == "check"])
    if figures["model.lut_error"] > BAR or figures["model.ff_error"] > BAR:
        raise Unmet(
            f"errors {figures['model.lut_error']:.1%} and {figures['model.ff_error']:.1%} are "
            f"above {BAR:.0%}; synthesize more machines and fit again",
            figures,
        )
    return figures


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.resource_fit")
