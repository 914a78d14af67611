"""Pictures for ``--plot``."""

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compiler.program import Program
from nomul.layers import QuantizedRow
from quant.files import write_bytes
from quant.graph import Conv, Graph
from quant.histogram import Histogram
from quant.numbers import Format
from quant.quantized import QConv, QuantizedGraph

__all__ = ["plot_cycles", "plot_quantization"]

BLUE, GREY, ORANGE = "#2f6db0", "#c3c9d1", "#b8651b"
ROW_INCHES = 0.26
COLUMNS, PANEL_INCHES = 4, 1.7
MERGED = 8  # bins of a histogram to a bar


def plot_quantization(
    path: Path,
    graph: Graph,
    qgraph: QuantizedGraph,
    rows: list[QuantizedRow],
    histograms: dict[str, Histogram],
) -> None:
    """SQNR of each layer, the weights before and after, and below them all tensors.

    Weights are relative to their channel's largest. Of a tensor its values on calibration images
    are shown, and the range of its format, beyond which they saturate.
    """
    measured = [row for row in rows if row.sqnr is not None and np.isfinite(row.sqnr)]
    tensors = [name for name in (qgraph.input, *(row.name for row in rows)) if name in histograms]
    height = max(3.5, 1.2 + ROW_INCHES * len(measured))
    lines = -(-len(tensors) // COLUMNS)
    figure = plt.figure(figsize=(11, height + PANEL_INCHES * lines), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[height, PANEL_INCHES * lines])
    above, below = parts.ravel()
    left, right = above.subplots(1, 2)
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
    below.suptitle("Values of each tensor, and the range that its codes have", fontsize="large")
    panels = below.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes, name in zip(panels, tensors):
        plot_histogram(axes, name, histograms[name], qgraph.format_of(name))
    for axes in panels[len(tensors) :]:
        axes.set_axis_off()
    save(figure, path)


def plot_histogram(axes: Axes, name: str, histogram: Histogram, fmt: Format) -> None:
    """A tensor's values, grey where they saturate, between the ends of its format."""
    # Fewer bars than bins: neighbours together, so that a bar is wider than a line.
    edges = histogram.edges[::MERGED]
    positive, negative = (
        counts.reshape(-1, MERGED).sum(axis=1)
        for counts in (histogram.positive, histogram.negative)
    )
    counts = np.concatenate([negative[::-1], positive])
    borders = np.concatenate([-edges[:0:-1], edges])
    low, high = fmt.low * fmt.step, fmt.high * fmt.step
    within = (borders[:-1] >= low - edges[1]) & (borders[1:] <= high + edges[1])
    for some, color in ((within, BLUE), (~within, GREY)):
        axes.stairs(np.where(some, counts, 0), borders, fill=True, color=color)
    for end in (low, high) if fmt.signed else (high,):
        axes.axvline(end, color=ORANGE, linewidth=1)
    axes.set_yscale("symlog")
    largest = max(histogram.high, high)
    axes.set_xlim(1.05 * min(histogram.low, low), 1.05 * largest if largest else 1)
    axes.tick_params(labelsize=7)
    axes.set_title(f"{name}: {fmt.bits} bits, step 2^{-fmt.fraction}", fontsize=8)


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


def save(figure: Figure, path: Path) -> None:
    """Write the figure in the format of the file's ending."""
    content = io.BytesIO()
    figure.savefig(content, dpi=120, format=path.suffix[1:])
    plt.close(figure)
    write_bytes(path, content.getbuffer())
