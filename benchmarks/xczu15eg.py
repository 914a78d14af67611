"""Networks of 224 x 224 on an XCZU15EG: ``python -m benchmarks.xczu15eg [--layers] [--save]``.

For each network the machine is searched that is fastest with 8-bit weights; on that machine,
latency and operations a second are modelled for 8 bits, for widths by layer and for widths by
groups of channels, both of the same mean width. Weights are random: a layer's sensitivity and the
spreads of its channels are drawn from log-normal distributions, so these widths are an example of
what an allocation gives, not that of a trained network. External memory, DMA and the clock are
assumed (``docs/exploration.md``); nothing of this was run.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from boards.parts import load_part
from compiler.model.network import NetworkModel, own_grid
from compiler.model.outline import outline, packed
from compiler.model.precision import NATIVE, Precision
from compiler.model.search import Found, Task, evaluate
from compiler.model.space import Sizes, engine_tables
from nomul.exploration import EXTERNAL, architecture_of, limits_of
from nomul.output import Report, stage, table
from nomul.verb import Verb
from quant.allocation.program import choose, options_of
from quant.imagenet_shapes import imagenet_shape
from quant.quantized import QConv, QuantizedGraph

__all__ = ["NETWORKS", "main", "mixed", "study"]

RESULTS = Path(__file__).parent / "results" / "xczu15eg.json"
NETWORKS = ("vgg16", "resnet18", "resnet34", "resnet50")
PART, CLOCK, FILL = "xczu15eg", 200.0, 0.8
FORMAT = "w4r"
MEAN_BITS = 4.0
WIDTHS = np.arange(2, 9)
BISECTIONS = 6
GROUPS = 8
LAYER_SPREAD, CHANNEL_SPREAD = 1.0, 0.5
"""Standard deviations of the logarithms of layers' sensitivities and of channels' sizes."""
SIZES = Sizes((1 << 12, 1 << 15), (1 << 10, 1 << 14), (1 << 8, 1 << 10), (1 << 8, 1 << 9))


def machine_for(graph: QuantizedGraph) -> tuple[Task, Found]:
    """The machine with the lowest latency for 8-bit weights; of equal ones the smallest."""
    part = load_part(PART)
    task = Task(
        graph=packed(graph),
        precision=Precision("8 bits", 8),
        limits=limits_of(part, FILL),
        external=EXTERNAL[part.family],
        grid=SIZES.grid(),
        clock_mhz=CLOCK,
        activation_bits=8,
    )
    engines = [
        one
        for one in engine_tables(("shift_gemm",), 0)
        if one["weights"] == FORMAT and one["lanes"] >= 16 and not one["dsp_columns"]
    ]
    found, _ = evaluate(task, engines)
    return task, min(found, key=lambda one: (one.cycles, one.lut))


def mixed(
    graph: QuantizedGraph, columns: int, by_channel: bool, bits: float = MEAN_BITS
) -> tuple[Precision, float]:
    """Widths of least expected error with so many bits a weight, and that error.

    Parameters
    ----------
    graph : QuantizedGraph
    columns : int
        Output channels that an engine makes at once: what groups are multiples of.
    by_channel : bool
        Widths of up to :data:`GROUPS` groups of channels sorted by sensitivity, else of layers.
    bits : float
    """
    source = np.random.default_rng(15)
    options, sizes, names, total = [], [], [], 0
    for layer in graph.layers:
        if not isinstance(layer, QConv):
            continue
        channels, fan_in = len(layer.weight), layer.weight[0].size
        sensitivity = np.exp(LAYER_SPREAD * source.standard_normal())
        scale = np.exp(CHANNEL_SPREAD * np.sort(source.standard_normal(channels)))
        energy = sensitivity * fan_in * scale**2 / (scale**2).mean()
        count = max(1, min(GROUPS, channels // columns)) if by_channel else 1
        step = -(-channels // (count * columns)) * columns if count > 1 else channels
        groups = [slice(first, first + step) for first in range(0, channels, step)]
        members = np.array([len(energy[group]) for group in groups])
        errors = np.array([energy[group].sum() for group in groups])[:, None] * 4.0**-WIDTHS
        costs = (members * fan_in)[:, None] * WIDTHS
        options.append(options_of(errors, costs[:, :, None].astype(float)))
        sizes.append(members)
        names.append(layer.name)
        total += channels * fan_in
    chosen = choose(options, [bits * total])
    layers = {
        name: tuple(
            (int(members), int(WIDTHS[width]))
            for members, width in zip(size, option.choices[place])
        )
        for name, size, option, place in zip(names, sizes, options, chosen)
    }
    error = sum(option.errors[place] for option, place in zip(options, chosen))
    return Precision("by channel" if by_channel else "by layer", 8, layers), float(error)


def equally_good(graph: QuantizedGraph, columns: int, error: float) -> Precision:
    """Widths by channel with the fewest bits whose expected error is not above ``error``."""
    low, high = float(WIDTHS[0]), MEAN_BITS
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if mixed(graph, columns, True, middle)[1] > error:
            low = middle
        else:
            high = middle
    found, _ = mixed(graph, columns, True, high)
    return replace(found, name="by channel, equal error")


def mean_bits(graph: QuantizedGraph, precision: Precision) -> float:
    """Of all weights."""
    bits = weights = 0.0
    for layer in graph.layers:
        if isinstance(layer, QConv):
            fan_in = layer.weight[0].size
            own = precision.layers.get(layer.name, ((len(layer.weight), precision.default),))
            bits += sum(count * fan_in * width for count, width in own)
            weights += layer.weight.size
    return bits / weights


def study(network: str, progress: Report) -> dict[str, Any]:
    """Latency, operations and bottlenecks of a network at each precision."""
    progress(0, 4, f"machine for {network}")
    graph = outline(imagenet_shape(network))
    task, best = machine_for(graph)
    architecture = architecture_of(best, task)
    assert task.external is not None
    columns = architecture.lanes * architecture.groups
    macs = sum(layer.macs for layer in graph.layers if isinstance(layer, QConv))
    found: dict[str, Any] = {
        "machine": architecture.name,
        "macs_per_cycle": architecture.macs_per_cycle,
        "lut": best.lut,
        "bram": best.bram,
        "precisions": {},
    }
    by_layer, error = mixed(graph, columns, False)
    precisions = (
        task.precision,
        by_layer,
        mixed(graph, columns, True)[0],
        equally_good(graph, columns, error),
        Precision("own format", NATIVE),
    )
    for done, precision in enumerate(precisions, 1):
        progress(done, len(precisions), f"{network}, {precision.name}")
        model = NetworkModel(graph, precision)
        works = model.workload(architecture).works
        layers = model.from_memory(architecture, own_grid(architecture), task.external)
        rows: list[dict[str, Any]] = [
            {
                "layer": work.owner,
                "cycles": round(float(layer.cycles[0, 0])),
                "bytes": round(float(layer.bytes[0, 0])),
                "bound": "memory" if layer.transfer[0, 0] > layer.compute[0, 0] else "engine",
            }
            for work, layer in zip(works, layers.values())
        ]
        cycles = sum(row["cycles"] for row in rows)
        limited = sum(row["cycles"] for row in rows if row["bound"] == "memory")
        found["precisions"][precision.name] = {
            "bits": None if precision.default == NATIVE else mean_bits(graph, precision),
            "milliseconds": cycles / CLOCK / 1000,
            "gops": 2 * macs * CLOCK / cycles / 1000,
            "memory_share": limited / cycles,
            "megabytes": sum(row["bytes"] for row in rows) / 1e6,
            "layers": rows,
        }
    return found


def gain(found: dict[str, Any]) -> float:
    """By how much widths by channel are faster than 8 bits."""
    times = found["precisions"]
    return 1 - times["by channel"]["milliseconds"] / times["8 bits"]["milliseconds"]


def show(results: dict[str, Any], layers: bool) -> None:
    """The tables."""
    table(
        f"{PART}, {CLOCK:g} MHz, modelled",
        [
            *("network", "machine", "weights", "bits", "ms", "GOPS", "MB moved"),
            *("bound by memory", "below 8 bits"),
        ],
        [
            [
                network,
                found["machine"],
                name,
                "-" if one["bits"] is None else f"{one['bits']:.2f}",
                f"{one['milliseconds']:.2f}",
                f"{one['gops']:.0f}",
                f"{one['megabytes']:.1f}",
                f"{one['memory_share']:.0%}",
                f"{1 - one['milliseconds'] / found['precisions']['8 bits']['milliseconds']:.0%}",
            ]
            for network, found in results.items()
            for name, one in found["precisions"].items()
        ],
        left=3,
    )
    if layers:
        for network, found in results.items():
            show_layers(network, found)


def show_layers(network: str, found: dict[str, Any]) -> None:
    """Each layer's cycles, and what they are bound by, at every precision."""
    precisions = found["precisions"]
    every = zip(*(one["layers"] for one in precisions.values()))
    table(
        f"{network} on {found['machine']}, cycles and what bounds them",
        ["layer", *precisions],
        [
            [
                rows[0]["layer"],
                *(f"{row['cycles']:,} {row['bound']}" for row in rows),
            ]
            for rows in every
        ],
    )


@click.command(cls=Verb)
@click.option("--network", "networks", type=click.Choice(NETWORKS), multiple=True)
@click.option("--layers", is_flag=True, help="Every layer too.")
@click.option("--save", is_flag=True, help=f"Keep the figures in {RESULTS.name}.")
def main(networks: tuple[str, ...], layers: bool, save: bool) -> dict[str, Any]:
    """Model networks on an XCZU15EG."""
    results = {}
    for network in networks or NETWORKS:
        with stage(network) as progress:
            results[network] = study(network, progress)
    show(results, layers)
    if save:
        RESULTS.write_text(json.dumps(results) + "\n")
    return {f"xczu15eg.{name}.latency_gain": gain(found) for name, found in results.items()}


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.xczu15eg")
