"""What a lane costs: look-up tables and flip-flops a MAC, by weight format and activation width.

``python -m benchmarks.lane_costs [--save] [--json FILE]`` synthesizes one column of 48 lanes for
each, in generic arithmetic and in 7-series primitives: loading and active weights, lanes and adder
tree, but no accumulators, which any engine needs. Beside these stand a pair of DSP columns, and
the column for logarithmic activations in generic arithmetic. Results are cached.
"""

import json
from pathlib import Path
from typing import Any

import click

from boards.parts import load_part
from boards.resources import Resources
from boards.synth import synthesize
from nomul.output import Report, stage, table
from nomul.verb import Verb
from quant.weight_formats import weight_format
from rtl.columns.column import Column
from rtl.columns.dsp import DspPair, Packing
from rtl.columns.logarithmic import LogColumn, LogFormat
from rtl.columns.plan import PLANS
from rtl.design import Design

__all__ = ["lane_cost", "log_cost", "main", "measure", "pair_cost"]

RESULTS = Path(__file__).parent / "results" / "lane_costs.json"
LANES = 48
PART = "xc7z020"
VERSIONS = {"xc7": "xc7", "generic": None}
COUNTED = ("lut", "ff", "carry", "dsp")
KINDS = (*VERSIONS, "dsp", "log")
WIDTHS = (8, 4)
# The sums of two powers have no logarithm.
CASES = [
    (weights, bits, kind)
    for weights in PLANS
    for bits in WIDTHS
    for kind in KINDS
    if (weights, kind) != ("sp2", "log")
]


def per_mac(used: Resources, macs: int) -> dict[str, float]:
    return {name: round(getattr(used, name) / macs, 3) for name in COUNTED}


def lane_cost(weights: str, bits: int, version: str, lanes: int = LANES) -> dict[str, float]:
    """Resources a MAC of one column; look-up tables as in :class:`~boards.synth.SynthReport`."""
    design = Design(Column, (lanes, PLANS[weights], bits, VERSIONS[version]), "column")
    return per_mac(synthesize(design, load_part(PART)).total, lanes)


def pair_cost(weights: str, bits: int, lanes: int = LANES) -> dict[str, float]:
    """Resources a MAC of a pair of DSP columns; what the folding costs once is not in it."""
    design = Design(DspPair, (Packing(lanes, PLANS[weights], bits),), "pair")
    return per_mac(synthesize(design, load_part(PART)).total, 2 * lanes)


def log_cost(weights: str, bits: int, lanes: int = LANES) -> dict[str, float]:
    """Resources a MAC of a column for logarithmic activations."""
    design = Design(LogColumn, (lanes, LogFormat(weight_format(weights)), bits), "column")
    return per_mac(synthesize(design, load_part(PART)).total, lanes)


def measure(progress: Report) -> dict[str, dict[str, float]]:
    """Costs under ``<format>.a<bits>.<kind>``: lut, ff, carry and dsp a MAC."""
    found = {}
    for done, (weights, bits, kind) in enumerate(CASES):
        key = f"{weights}.a{bits}.{kind}"
        progress(done, len(CASES), key)
        if kind in VERSIONS:
            found[key] = lane_cost(weights, bits, kind)
        else:
            found[key] = (pair_cost if kind == "dsp" else log_cost)(weights, bits)
    return found


def show(found: dict[str, dict[str, float]]) -> None:
    """The table."""
    rows = []
    for weights in PLANS:
        for bits in WIDTHS:
            costs = [found.get(f"{weights}.a{bits}.{kind}") for kind in KINDS]
            figures = [
                f"{cost[name]:.1f}" if cost else "-" for cost in costs for name in ("lut", "ff")
            ]
            rows.append([f"{weights}, {bits} bits", *figures])
    heads = [f"{kind} {name}" for kind in KINDS for name in ("LUT", "FF")]
    table(f"A MAC in a column of {LANES} lanes, {PART}", ["weights, activations", *heads], rows)


@click.command(cls=Verb)
@click.option("--save", is_flag=True, help=f"Keep the figures in {RESULTS.name}.")
def main(save: bool) -> dict[str, Any]:
    """Measure what a MAC costs in every weight format."""
    with stage("Columns of every format") as progress:
        found = measure(progress)
    show(found)
    if save:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.lane_costs")
