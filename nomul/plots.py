"""Pictures for ``--plot``."""

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from compiler.program import Program
from nomul.layers import QuantizedRow
from quant.allocation.allocation import Allocation
from quant.allocation.tables import WIDTHS
from quant.files import write_bytes
from quant.graph import Conv, Graph
from quant.quantized import QConv, QuantizedGraph

__all__ = ["plot_allocation", "plot_cycles", "plot_quantization"]

BLUE, GREY, ORANGE = "#2f6db0", "#c3c9d1", "#b8651b"
ROW_INCHES = 0.26


def plot_quantization(
    path: Path, graph: Graph, qgraph: QuantizedGraph, rows: list[QuantizedRow]
) -> None:
    """SQNR of each layer, and the weights before and after, relative to their channel's largest."""
    measured = [row for row in rows if row.sqnr is not None and np.isfinite(row.sqnr)]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, max(3.5, 1.2 + ROW_INCHES * len(measured))), layout="constrained"
    )
    left.barh([row.name for row in measured], [row.sqnr for row in measured], color=BLUE)
    left.invert_yaxis()
    left.set(xlabel="SQNR of the layer's output, dB", title="Error that has built up to each layer")
    before, after = relative_weights(graph, qgraph)
    bins = np.linspace(-1, 1, 129)
    right.hist(before, bins, color=GREY, label="float")
    right.hist(after, bins, histtype="step", color=ORANGE, label=qgraph.scheme)
    right.set_yscale("log")
    # Room for the legend above the bars.
    right.set_ylim(top=6 * right.get_ylim()[1])
    right.set(
        xlabel="weight / largest weight of its channel", ylabel="weights", title="All weights"
    )
    right.legend(frameon=False, loc="upper right", ncols=2)
    save(figure, path)


def relative_weights(graph: Graph, qgraph: QuantizedGraph) -> tuple[np.ndarray, np.ndarray]:
    """All weights of the float and of the quantized graph, over their channel's largest."""

    def relative(weights: np.ndarray) -> np.ndarray:
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        return (flat / np.maximum(np.abs(flat).max(axis=1, keepdims=True), 1e-30)).ravel()

    before = [relative(layer.weight) for layer in graph.layers if isinstance(layer, Conv)]
    after = [relative(layer.weight) for layer in qgraph.layers if isinstance(layer, QConv)]
    return np.concatenate([*before, []]), np.concatenate([*after, []])


def plot_cycles(path: Path, program: Program) -> None:
    """Cycles of each layer: those whose multiply-adds fill the array, and the rest."""
    layers = [layer for layer in program.layers if layer.cycles]
    names = [layer.name for layer in layers]
    shares = [layer.busy(program.architecture.macs_per_cycle) for layer in layers]
    cycles = np.array([layer.cycles for layer in layers], float)
    busy = cycles * shares
    figure, axes = plt.subplots(
        figsize=(9, max(3, 1.4 + ROW_INCHES * len(layers))), layout="constrained"
    )
    axes.barh(names, busy, color=BLUE, label="multiply-add slots used")
    axes.barh(names, cycles - busy, left=busy, color=GREY, label="not used")
    for row, share in enumerate(shares):
        label = f" {share:.0%}" if share else ""
        axes.text(cycles[row], row, label, va="center", fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set(
        xlabel="cycles",
        title=f"{program.name} ({program.scheme}) on {program.architecture.name}: "
        f"{program.cycles:,} cycles, {program.busy:.1%} busy",
    )
    axes.legend(frameon=False)
    save(figure, path)


def plot_allocation(path: Path, name: str, found: Allocation) -> None:
    """Bits of each layer on average, and of each output channel, the widest first."""
    names = list(found.bits)
    figure, (left, right) = plt.subplots(
        1,
        2,
        figsize=(11, max(3.5, 1.2 + ROW_INCHES * len(names))),
        layout="constrained",
        sharey=True,
        width_ratios=(2, 5),
    )
    left.barh(names, [found.bits[layer].mean() for layer in names], color=BLUE)
    left.axvline(found.mean, color=ORANGE, linewidth=1)
    left.set(xlabel="mean bits", title=f"{name}: {found.mean:.2f} bits, {found.bytes:,} bytes")
    cells = np.full((len(names), 100), np.nan)
    for row, layer in enumerate(names):
        bits = np.sort(found.bits[layer])[::-1]
        cells[row] = bits[np.arange(100) * len(bits) // 100]
    colours = plt.get_cmap("viridis", len(WIDTHS))
    image = right.imshow(
        cells,
        aspect="auto",
        cmap=colours,
        vmin=WIDTHS[0] - 0.5,
        vmax=WIDTHS[-1] + 0.5,
        interpolation="nearest",
        extent=(0, 100, len(names) - 0.5, -0.5),
    )
    figure.colorbar(image, ax=right, label="bits", ticks=WIDTHS)
    right.set(xlabel="output channels, %", title="Bits of each channel, sorted")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the file's ending."""
    content = io.BytesIO()
    figure.savefig(content, dpi=120, format=path.suffix[1:])
    plt.close(figure)
    write_bytes(path, content.getbuffer())
