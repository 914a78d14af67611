"""Predicted cycles beside those of the RTL: ``python -m benchmarks.model_cycles [--save]``.

Machines of every engine and three small networks, each layer of which goes another way: many 1x1
layers of several passes, residuals with strides and pools, and depthwise layers. A prediction is
what the model says without weights, and must be what a compiled program says and the RTL counts.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.nin import nin
from benchmarks.resnet18 import CODES, Builder
from boards.driver import Driver
from compiler.compile import compile as compile_graph
from compiler.model.onchip import layer_cycles
from compiler.model.space import machine
from nomul.engines import build_rtl
from nomul.output import Report, stage, table
from nomul.verb import Unmet, Verb
from quant.graph import Window
from quant.quantized import QAvgPool, QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["RESULTS", "machines", "main", "measure", "networks"]

RESULTS = Path(__file__).parent / "results" / "model_cycles.json"
MEMORY = {
    "feature_words": 4096,
    "weight_words": 1 << 16,
    "parameter_words": 512,
    "accumulator_words": 256,
    "queue_words": 64,
}
SHIFTING = (
    (4, 1, 1, "w3", 8),
    (4, 2, 2, "w4r", 8),
    (4, 3, 4, "sp2", 6),
    (8, 1, 1, "w4", 8),
    (8, 1, 2, "log4", 4),
    (8, 2, 1, "w4r", 8),
    (8, 3, 2, "w3", 8),
    (8, 4, 1, "log5", 6),
    (16, 1, 1, "w4r", 8),
)
"""Lanes, words of a vector, groups, weight format and bits of activations."""
CODEBOOK = ((5, 1, 1), (5, 2, 2), (10, 1, 2), (10, 3, 1))
CONVOLVERS = (
    ("svpe", 4, 1, 1, "n3"),
    ("svpe", 4, 3, 2, "n4"),
    ("svpe", 8, 1, 1, "n3"),
    ("svpe", 4, 2, 4, "n3"),
    ("vpe", 4, 1, 1, "s8"),
    ("vpe", 4, 4, 2, "s4"),
    ("vpe", 8, 1, 1, "s8"),
)


def machines() -> Iterator[Architecture]:
    """All machines, of every engine."""
    tables: list[tuple[dict[str, Any], int]] = []
    for lanes, words, groups, weights, bits in SHIFTING:
        own = {"weights": weights, "dsp_columns": 0}
        tables.append((sizes("shift_gemm", lanes, words, groups) | own, bits))
    for lanes, words, groups in CODEBOOK:
        tables.append((sizes("conv5x5", lanes, words, groups), 8))
    for kind, lanes, words, groups, weights in CONVOLVERS:
        own = {"kernel": 3, "line_words": 32, "weights": weights}
        tables.append((sizes(kind, lanes, words, groups) | own, 8))
    for engine, bits in tables:
        made = machine(engine, "xc7z020", 100, bits, **MEMORY)
        assert made is not None
        yield made


def sizes(kind: str, lanes: int, words: int, groups: int) -> dict[str, Any]:
    return {"kind": kind, "lanes": lanes, "vector_words": words, "groups": groups}


def networks(bits: int) -> dict[str, QuantizedGraph]:
    """Three networks with activations of so many bits or fewer."""
    if bits < CODES.bits:
        return {name: narrowed(graph, bits) for name, graph in networks(CODES.bits).items()}
    return {"pointwise": nin(8, 12), "residual": residual(), "depthwise": depthwise()}


def narrowed(graph: QuantizedGraph, bits: int) -> QuantizedGraph:
    """The network with codes of fewer bits: its cycles are the same."""

    def narrow(fmt):
        return replace(fmt, bits=bits)

    layers = []
    for layer in graph.layers:
        fmt = narrow(layer.format)
        layers.append(replace(layer, format=fmt, low=max(layer.low, fmt.low), high=fmt.high))
    return replace(graph, input_format=narrow(graph.input_format), layers=tuple(layers))


def residual() -> QuantizedGraph:
    """A stem, a pool, and residual blocks with and without a stride."""
    b = Builder("w4r", (3, 16, 16))
    x = b.convolution("stem", "image", 12, 5, 2)
    x = b.max_pool("pool", x, Window((3, 3), (1, 1), (1, 1, 1, 1)))
    for stage_number, channels in enumerate((12, 20)):
        y = b.convolution(f"a{stage_number}", x, channels, 3, 1 + stage_number)
        if stage_number:
            x = b.convolution(f"skip{stage_number}", x, channels, 1, 2, relu=False)
        x = b.convolution(f"b{stage_number}", y, channels, 3, residual=x)
    return head(b, x, "residual")


def depthwise() -> QuantizedGraph:
    """Depthwise and pointwise layers in turn."""
    b = Builder("w3", (3, 12, 12))
    x = b.convolution("stem", "image", 16, 3)
    for number, stride in enumerate((1, 2)):
        x = b.convolution(f"depth{number}", x, 16, 3, stride, groups=16)
        x = b.convolution(f"point{number}", x, 16, 1)
    return head(b, x, "depthwise")


def head(b: Builder, x: str, name: str) -> QuantizedGraph:
    """The mean over the map, a power of two of positions in size or near it, and ten outputs."""
    channels, height, width = b.shapes[x]
    scale = (height * width).bit_length() - 1
    window = Window((height, width))
    x = b.add(QAvgPool("mean", (x,), (channels, 1, 1), CODES, 0, CODES.high, window, 1, scale))
    b.convolution("fc", x, 10, 1, relu=False)
    return b.graph(name)


def measure(architecture: Architecture, progress: Report) -> list[dict[str, Any]]:
    """Of each network: what the model, the compiler and the RTL say."""
    model = build_rtl(architecture, lambda message: progress(0, None, message))
    rows = []
    for name, graph in networks(architecture.activation_bits).items():
        program = compile_graph(graph, architecture)
        passes = {layer.name: int(layer.passes) for layer in program.layers}
        predicted = sum(layer_cycles(graph, architecture, passes).values()) + 1
        codes = np.random.default_rng(1).integers(0, 8, graph.input_shape)
        _, counted = Driver(model, program).run_codes(codes)
        rows.append(
            {
                "machine": f"{architecture.name}-a{architecture.activation_bits}",
                "network": name,
                "model": predicted,
                "program": program.cycles,
                "rtl": int(counted),
            }
        )
    return rows


def mismatches(rows: list[dict[str, Any]]) -> int:
    """How many predictions are not what the RTL counted."""
    return sum(not row["model"] == row["program"] == row["rtl"] for row in rows)


@click.command(cls=Verb)
@click.option("--count", type=int, help="Only the first machines.")
@click.option("--save", is_flag=True, help=f"Keep the figures in {RESULTS.name}.")
def main(count: int | None, save: bool) -> dict[str, Any]:
    """Compare predicted cycles with the RTL's."""
    rows: list[dict[str, Any]] = []
    chosen = list(machines())[:count]
    with stage("Machines") as progress:
        for done, architecture in enumerate(chosen):
            progress(done, len(chosen), architecture.name)
            rows += measure(architecture, progress)
            if save:
                # Machine by machine: compiling them all takes long.
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    table(
        "Cycles", ["machine", "network", "model", "program", "RTL"], [[*r.values()] for r in rows]
    )
    figures = {"cycles.mismatches": mismatches(rows), "cycles.runs": len(rows)}
    if figures["cycles.mismatches"]:
        raise Unmet(f"{figures['cycles.mismatches']} predictions differ from the RTL", figures)
    return figures


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.model_cycles")
