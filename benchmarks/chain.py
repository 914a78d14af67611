"""Every figure of the chain, measured: ``python -m benchmarks.chain [--json FILE] [--quick]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/chain.json`` and marked.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks import figures, measure
from nomul.output import console, stage, table
from nomul.verb import Unmet, Verb

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results" / "chain.json"

QUICK: tuple[tuple[str, Callable], ...] = (
    ("Demo", measure.demo),
    ("ResNet-20 on a 256-MAC machine", measure.resnet20_machine),
    ("Integer reference: images a second", measure.reference_speed),
    ("Random layers against torch and ONNX Runtime", measure.layers_quick),
)
LONG: tuple[tuple[str, Callable], ...] = (
    ("Demo", measure.demo),
    ("ResNet-20 on a 256-MAC machine", measure.resnet20_machine),
    ("Integer reference: images a second", measure.reference_speed),
    ("Random layers against torch and ONNX Runtime", measure.layers),
    ("Whole networks on the RTL, 8 images each", measure.networks),
    ("Accuracy on all test images", measure.accuracy),
)


@click.command(cls=Verb)
@click.option("--quick", is_flag=True, help="Under a minute; the rest from committed results.")
@click.option("--save", is_flag=True, help=f"Keep the figures in {RESULTS.name}.")
def main(quick: bool, save: bool) -> dict[str, Any]:
    """Measure the figures of the chain and print them beside bar and published value."""
    found: dict[str, Any] = {}
    for title, function in QUICK if quick else LONG:
        with stage(title) as progress:
            found |= function(progress)
    fresh = set(found)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = {key: found.get(key, kept.get(key)) for key in figures.KEYS}
    show(found, fresh)
    missed = [figure for figure in figures.FIGURES if not figure.met(found)]
    result = {**found, "not_measured": sorted(set(found) - fresh)}
    if save and not quick:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    if missed:
        raise Unmet(
            "not reached: " + ", ".join(f"{figure.key} ({figure.bar})" for figure in missed), result
        )
    return result


def show(found: dict[str, Any], fresh: set[str]) -> None:
    """The table."""
    table(
        "Figures of the chain",
        ["figure", "how; what others report", "bar", "measured"],
        [
            [
                figure.key,
                f"{figure.how}; {figure.published}" if figure.published else figure.how,
                figure.bar,
                figure.text(found[figure.key]) + (" " if figure.key in fresh else "*"),
            ]
            for figure in figures.FIGURES
        ],
        left=2,
    )
    if set(found) - fresh:
        console.print(f"* not measured now: from benchmarks/results/{RESULTS.name}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.chain")
