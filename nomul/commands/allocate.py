"""``nomul allocate``: a width for every output channel, within a budget."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from nomul.options import image_options, images_of, network_options, output_option, plot_option
from nomul.output import console, plural, stage, table
from nomul.sources import load_graph
from nomul.verb import Verb
from quant.allocation.allocation import Allocation
from quant.allocation.budget import Budget
from quant.allocation.tables import KINDS
from quant.errors import NoMulError

__all__ = ["command"]

OUTLINE_IMAGES = 16


@click.command("allocate", cls=Verb)
@click.argument("source")
@network_options
@click.option(
    "--budget",
    metavar="NUMBER+UNIT",
    help="3.0bits (a weight, on average), 200kB (all weights) or 40000cycles (an image).",
)
@click.option("--latency", type=int, metavar="CYCLES", help="A limit beside another budget.")
@click.option(
    "--arch", metavar="NAME|FILE", help="The machine whose cycles count, and whose columns fill."
)
@click.option("--kind", type=click.Choice(KINDS), default="log", show_default=True)
@click.option(
    "--sensitivity",
    type=click.Choice(("output", "hessian", "fisher")),
    default="output",
    show_default=True,
    help="What widths cost (docs/allocation.md).",
)
@click.option(
    "--rounding",
    type=click.Choice(("compensated", "nearest")),
    default="compensated",
    show_default=True,
    help="Whether rounding makes up for errors.",
)
@click.option(
    "--group",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Output channels that share a width; 0: all of a layer. With --arch a block.",
)
@click.option(
    "--activations",
    metavar="BITS",
    help="Mean bits of activations, as 6.0bits: 4 to 8 a tensor.  [default: 8 bits everywhere]",
)
@click.option(
    "--reuse",
    type=click.Path(path_type=Path),
    help="Widths of an earlier run's --json, for a network that was trained with them.",
)
@image_options(512)
@output_option
@plot_option
def command(
    source: str,
    input_shape,
    models: Path | None,
    budget: str | None,
    latency: int | None,
    arch: str | None,
    kind: str,
    sensitivity: str,
    rounding: str,
    group: int,
    activations: str | None,
    reuse: Path | None,
    images: str,
    count: int | None,
    data: Path | None,
    preprocess: str | None,
    output: Path | None,
    plot: Path | None,
) -> dict[str, Any]:
    """Give every output channel of a network the width that serves it best, and quantize it.

    SOURCE is a network as of nomul quantize. Of a data set the training images are used.
    """
    from compiler.compile import compile as compile_graph
    from nomul.allocation import allocate_on
    from quant.allocation.activations import allocate_activations
    from quant.allocation.allocate import allocate, groups_in_order, layer_groups, uniform
    from quant.allocation.permutation import permute
    from quant.allocation.sensitivity import measure_sensitivity
    from quant.quantize import quantize
    from rtl.architecture import load_architecture

    if (budget is None) == (reuse is None):
        raise click.UsageError("give either --budget or --reuse")
    budgets = [] if budget is None else [Budget.parse(budget)]
    if latency is not None:
        budgets.append(Budget("cycles", latency))
    if arch is None and any(b.unit == "cycles" for b in budgets):
        raise click.UsageError("cycles are those of a machine: name it with --arch")
    machine = None if arch is None else load_architecture(arch)
    with stage(f"Import {source}"):
        imported = load_graph(source, input_shape, models)
    graph, known = imported.graph, imported.preprocessing
    batch = images_of(graph.input_shape, images, count, data, preprocess, known, train=True)
    seconds: dict[str, float] = {}
    figures: dict[str, Any] = {"source": source, "budget": budget, "latency": latency}
    if reuse is not None:
        found = Allocation.load(reuse)
    else:
        begin = time.monotonic()
        with stage(f"Sensitivity on {plural(len(batch), 'image')}") as progress:
            costs = measure_sensitivity(
                graph, batch.x, kind, sensitivity, rounding, progress=progress
            )
        seconds["sensitivity"] = time.monotonic() - begin
        begin = time.monotonic()
        with stage("Allocate"):
            if machine is not None:
                eight = replace(uniform(costs, 8), rounding="nearest")
                outline = quantize(graph, batch.x[:OUTLINE_IMAGES], eight.scheme())
                found = allocate_on(machine, graph, outline, costs, budgets)
            else:
                groups = groups_in_order(costs, group) if group else layer_groups(costs)
                found = allocate(costs, budgets, groups)
        seconds["program"] = time.monotonic() - begin
        if activations is not None:
            mean = Budget.parse(activations)
            if mean.unit != "bits":
                raise NoMulError(f"--activations is {activations!r}; write 6.0bits")
            with stage("Activations") as progress:
                tensors = allocate_activations(graph, batch.x, mean.most, progress=progress)
            found = replace(found, tensors=tensors)
    with stage(f"Quantize to {found.mean:.2f} bits") as progress:
        qgraph = quantize(permute(graph, found.orders), batch.x, found.scheme(), progress=progress)
    output = output or Path(f"{graph.name}.mixed.qgraph")
    qgraph.save(output)
    show(graph.name, found)
    console.print(f"Quantized graph: {output}", soft_wrap=True)
    if machine is not None:
        with stage(f"Compile for {machine.name}"):
            figures["cycles"] = compile_graph(qgraph, machine).cycles
        console.print(f"{figures['cycles']:,} cycles on {machine.name}")
    if plot:
        from nomul.plots import plot_allocation

        plot_allocation(plot, graph.name, found)
        console.print(f"Picture: {plot}", soft_wrap=True)
    return {**figures, "file": str(output), "seconds": seconds, "allocation": found.to_dict()}


def show(name: str, found: Allocation) -> None:
    """A row a layer: weights, mean bits, how many channels have each width."""
    widths = sorted({int(bits) for row in found.bits.values() for bits in row})
    rows = [
        [
            layer,
            found.elements[layer] * len(bits),
            f"{bits.mean():.2f}",
            *(int((bits == width).sum()) or None for width in widths),
        ]
        for layer, bits in found.bits.items()
    ]
    totals = [sum(int((b == width).sum()) for b in found.bits.values()) for width in widths]
    rows.append(["all", found.weights, f"{found.mean:.3f}", *totals])
    table(
        f"{name}: {found.kind} weights of {found.mean:.3f} bits, {found.bytes:,} bytes",
        ["layer", "weights", "mean bits", *(f"{width} bits" for width in widths)],
        rows,
    )
    if found.tensors:
        table(
            "Activations",
            ["tensor", "bits"],
            [[tensor, bits] for tensor, bits in found.tensors.items()],
        )
