"""Figures of system E, codebook arrays: ``python -m benchmarks.conv5x5 [--json FILE]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/conv5x5.json`` and marked.
Accuracies come from ``benchmarks/results/clipq.json``, which ``python -m benchmarks.clipq`` keeps,
and are marked, too; without that file they are missing and so miss their bars.
"""

import json
from typing import Any

import numpy as np

from benchmarks.figures import RESULTS, Benchmark, Figure, at_least, at_most, free
from benchmarks.nin import CodebookBuilder, nin
from benchmarks.select_elements import Product, SelectColumn
from boards.parts import load_part
from boards.resources import Resources
from boards.synth import synthesize
from compiler import mapping
from compiler.compile import compile as compile_graph
from compiler.program import Program
from compiler.settings import Run, execute
from nomul.blocks import block
from nomul.output import Report
from nomul.verify import verify
from rtl.architecture import load_architecture
from rtl.codebook.column import CodebookColumn
from rtl.codebook.multiples import VALUES
from rtl.design import Design
from rtl.engines import find
from rtl.isa import Nest

__all__ = ["CONV5X5", "main"]

PUBLISHED, FILLING, WHOLE = "conv5x5-published", "conv5x5-zynq7020", "conv5x5-nin"
KERNELS = (1, 3, 5, 7, 9, 11)
CHANNELS, SIDE = 20, 16
ELEMENTS = 60
SHIFTING, FORMAT = "zynq7020-imagenet", "w4r"


def layer(kernel: int) -> Program:
    """A layer of as many channels as the published arrays have inputs and outputs."""
    b = CodebookBuilder("w3", (CHANNELS, SIDE, SIDE))
    b.convolution("conv", "image", CHANNELS, kernel)
    return compile_graph(b.graph(f"k{kernel}"), load_architecture(PUBLISHED))


def computing(program: Program) -> float:
    """Share of elements that have a weight of the layer, in the cycles in which they work."""
    slots = 0
    for event in execute(program.architecture, program.instructions.tolist()):
        if isinstance(event, Run):
            slots += event.words(Nest.ACTIVATION)
    macs = sum(record.macs * record.passes for record in program.layers)
    return macs / (slots * program.architecture.macs_per_cycle)


def busy(progress: Report) -> dict[str, Any]:
    """Every kernel size on the published arrays."""
    found: dict[str, Any] = {}
    for done, kernel in enumerate(KERNELS):
        progress(done, len(KERNELS), f"{kernel}x{kernel}")
        program = layer(kernel)
        found[f"busy.k{kernel}"] = computing(program)
        found[f"layer.k{kernel}"] = program.busy
    return found


def network(progress: Report) -> dict[str, Any]:
    """Network in network, by the cycles that the RTL has exactly."""
    found: dict[str, Any] = {}
    for key, name in (("nin", WHOLE), ("nin.published", PUBLISHED)):
        progress(0, None, name)
        architecture = load_architecture(name)
        if name == PUBLISHED:
            architecture = with_memory_of(WHOLE)
        program = compile_graph(nin(), architecture)
        macs = sum(record.macs for record in program.layers)
        found |= {
            f"{key}.busy": program.busy,
            f"{key}.cycles": program.cycles,
            f"{key}.ops_per_clock": 2 * macs / program.cycles,
        }
    return found
