"""``nomul explore``: the best machines for a network on a part, by models."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from boards.parts import load_part, part_names
from compiler.model.external import External
from compiler.model.outline import packed
from compiler.model.precision import NATIVE, Precision, load_precision
from compiler.model.search import Found, Task
from compiler.model.space import ENGINES, Sizes, engine_tables
from nomul.exploration import (
    EXTERNAL,
    GOALS,
    architecture_of,
    best_first,
    confirm,
    copies,
    explore,
    limits_of,
    network_outline,
)
from nomul.options import network_options, plot_option
from nomul.output import console, plural, stage, table
from nomul.plots import plot_front
from nomul.verb import Verb
from quant.imagenet_shapes import IMAGENET_SHAPES

__all__ = ["command"]

FORMATS = ("w4r", "w4", "sp2", "log4", "log5", "n4", "s8")


@click.command("explore", cls=Verb)
@click.option(
    "--network",
    "source",
    required=True,
    metavar="NAME|FILE",
    help=f"{', '.join(IMAGENET_SHAPES)}, a quantized graph, or what nomul quantize takes.",
)
@click.option("--part", "part_name", required=True, metavar="PART", help=", ".join(part_names()))
@click.option("--goal", type=click.Choice(GOALS), default="latency", show_default=True)
@click.option(
    "--engine",
    "engines",
    type=click.Choice(ENGINES),
    multiple=True,
    help="Only these engines; all by default.",
)
@click.option(
    "--formats",
    default=",".join(FORMATS),
    show_default=True,
    help="Weight formats of the engines that have several.",
)
@click.option(
    "--bits",
    metavar="N|FILE",
    help="Widths of weights: 2 to 8, or a JSON file with those of layers and groups of channels. "
    "By default weights are of the engine's own format, one pass.",
)
@click.option(
    "--activations", type=click.IntRange(2, 16), default=8, show_default=True, help="Bits."
)
@click.option(
    "--fill",
    type=click.FloatRange(0.1, 1),
    default=0.8,
    show_default=True,
    help="Share of the look-up tables that may be taken.",
)
@click.option("--clock", type=float, default=200, show_default=True, help="MHz, for seconds.")
@click.option("--on-chip", is_flag=True, help="No external memory.")
@click.option("--workers", type=click.IntRange(1), help="Processes; all cores by default.")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler whose workers do the work.")
@click.option("--rows", type=click.IntRange(1), default=12, show_default=True, help="Of the table.")
@network_options
@plot_option
def command(
    source: str,
    part_name: str,
    goal: str,
    engines: tuple[str, ...],
    formats: str,
    bits: str | None,
    activations: int,
    fill: float,
    clock: float,
    on_chip: bool,
    workers: int | None,
    cluster: str | None,
    rows: int,
    input_shape: tuple[int, ...] | None,
    models: Path | None,
    plot: Path | None,
) -> dict[str, Any]:
    """Search machines for a network on a part: engine, dimensions, buffers and widths.

    Cycles and resources are those of models (docs/exploration.md). Prints the machines that none
    betters in everything, the best by the goal first; --json has all of them.
    """
    part = load_part(part_name)
    graph = network_outline(source, input_shape, models, activations)
    external: External | None = None if on_chip else EXTERNAL[part.family]
    task = Task(
        graph=packed(graph),
        precision=precision_of(bits),
        limits=limits_of(part, fill),
        external=external,
        grid=Sizes().grid(),
        clock_mhz=clock,
        activation_bits=activations,
    )
    wanted = set(formats.split(","))
    widest = max(graph.shape_of(name)[2] for name in (graph.input, *names(graph)))
    tables = [
        one
        for one in engine_tables(engines or ENGINES, widest + 16)
        if one.get("weights", formats) in wanted | {formats}
    ]
    with stage(f"Explore {graph.name} on {part.name}") as progress:
        found, evaluated = explore(task, tables, progress, workers, cluster)
    ordered = best_first(found, goal, task.limits)
    with stage("Confirm those on chip"):
        exact = [confirm(one, task) for one in ordered[:rows]]
    show(ordered[:rows], exact, task, graph.name)
    console.print(
        f"{plural(evaluated, 'machine')} evaluated, {len(found):,} of them better than all others "
        f"in something; look-up tables and registers are estimates."
    )
    if external is not None:
        console.print(
            f"External memory: {external.bytes_per_cycle:g} bytes a cycle, of which bursts leave "
            f"{external.efficiency:.0%}; it and its DMA are assumed."
        )
    if plot:
        plot_front(plot, found, f"{graph.name} on {part.name}", clock)
    return {
        "network": graph.name,
        "part": part.name,
        "goal": goal,
        "precision": task.precision.name,
        "evaluated": evaluated,
        "best.cycles": ordered[0].cycles,
        "best.lut": ordered[0].lut,
        "front": [row(one, task) for one in ordered],
        "exact": exact,
    }


def names(graph) -> list[str]:
    return [layer.name for layer in graph.layers]


def precision_of(bits: str | None) -> Precision:
    """What ``--bits`` asks for. Errors: as of :func:`load_precision`."""
    if bits is None:
        return Precision("own format", NATIVE)
    if bits in map(str, range(2, 9)):
        return Precision(f"{bits} bits", int(bits))
    return load_precision(bits)


def row(one: Found, task: Task) -> dict[str, Any]:
    """A machine for JSON: what it takes, and its description as an architecture file has it."""
    figures = dataclasses.asdict(one)
    figures["copies"] = copies(one, task.limits)
    figures["milliseconds"] = one.cycles / task.clock_mhz / 1000
    figures["architecture"] = architecture_of(one, task).to_dict()
    return figures


def show(found: list[Found], exact: list[int | None], task: Task, network: str) -> None:
    """The table."""
    table(
        f"{network}, {task.precision.name}, on {task.limits.part} at {task.clock_mhz:g} MHz",
        [
            *("engine", "features, weights, accumulators", "on chip", "cycles", "exact", "ms"),
            *("copies", "LUT", "FF", "DSP", "BRAM36"),
        ],
        [
            [
                architecture_of(one, task).name,
                f"{one.memory['feature_words']}, {one.memory['weight_words']}, "
                f"{one.memory['accumulator_words']}",
                one.on_chip,
                round(one.cycles),
                cycles,
                f"{one.cycles / task.clock_mhz / 1000:.3f}",
                copies(one, task.limits),
                *(round(value) for value in (one.lut, one.ff, one.dsp)),
                f"{one.bram:g}",
            ]
            for one, cycles in zip(found, exact)
        ],
        left=2,
    )
