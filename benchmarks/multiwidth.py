"""Figures of system C, an array of three widths: ``python -m benchmarks.multiwidth [--json FILE]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/multiwidth.json`` and marked.
Accuracies come from ``benchmarks/results/multiwidth_accuracy.json``, which
``python -m benchmarks.multiwidth_accuracy`` keeps, and are marked, too; without that file they are
missing and so miss their bars. Networks need ``NOMUL_DATA`` and ``NOMUL_MODELS``.
"""

import json
from functools import cache
from typing import Any

import numpy as np

from benchmarks.figures import RESULTS, Benchmark, Figure, at_least, at_most, free
from benchmarks.multiwidth_accuracy import NETWORKS, network, quantized
from benchmarks.split_element import ProcessingElement
from boards.parts import load_part
from boards.resources import Resources
from boards.synth import synthesize
from compiler.accesses import accesses
from compiler.compile import compile as compile_graph
from compiler.program import Program
from nomul.blocks import block
from nomul.engines import simulated_machine
from nomul.output import Report
from quant.mixed import WEIGHT
from quant.quantized import QConv, QuantizedGraph
from quant.reference import quantize_input, run_reference
from rtl.architecture import load_architecture
from rtl.design import Design

__all__ = ["MULTIWIDTH", "main"]

MACHINE = "multiwidth-4x4-large"
ARRAYS = {"array4": "multiwidth-4x4", "array8": "multiwidth-8x8"}
WIDTHS = (32, 16, 8)
IMAGES = 200
MIXED = "mixed"
COUNTED = ("lut", "ff", "dsp")


@cache
def graph(name: str, width: int | str) -> QuantizedGraph:
    """A network at one width, or with every other convolution's weights at 16 bits among 8."""
    if width != MIXED:
        return quantized(name, f"int{width}", IMAGES)
    layers = [layer for layer in graph(name, 8).layers if isinstance(layer, QConv)]
    widths = {layer.name + WEIGHT: 16 for layer in layers[1::2]}
    return quantized(name, "int8", IMAGES, widths=widths)


@cache
def program(name: str, width: int | str) -> Program:
    """A network on the machine."""
    return compile_graph(graph(name, width), load_architecture(MACHINE))


def words(compiled: Program) -> int:
    """Words from and to all memories, an image."""
    return sum(accesses(compiled.architecture, compiled.instructions.tolist()).values())


def cycles(progress: Report) -> dict[str, Any]:
    """Cycles and accesses of whole networks, as predicted; the RTL has them exactly."""
    found: dict[str, Any] = {}
    for done, name in enumerate(NETWORKS):
        for width in (*WIDTHS, MIXED):
            progress(done, len(NETWORKS), f"{name}, {width}")
            compiled = program(name, width)
            key = width if width == MIXED else f"w{width}"
            found |= {
                f"{name}.{key}.cycles": compiled.cycles,
                f"{name}.{key}.accesses": words(compiled),
            }
        for key in ("w16", "w8", MIXED):
            found |= {
                f"{name}.speedup.{key}": found[f"{name}.w32.cycles"]
                / found[f"{name}.{key}.cycles"],
                f"{name}.fewer.{key}": 1
                - found[f"{name}.{key}.accesses"] / found[f"{name}.w32.accesses"],
            }
    for key in ("w16", "w8"):
        found |= {
            f"speedup.{key}": min(found[f"{name}.speedup.{key}"] for name in NETWORKS),
            f"accesses.{key}": min(found[f"{name}.fewer.{key}"] for name in NETWORKS),
        }
    return found


def used(design: Design) -> Resources:
    """What a design takes of the part."""
    return synthesize(design, load_part(load_architecture(ARRAYS["array4"]).part)).total


def elements(progress: Report) -> dict[str, Any]:
    """A processing element of three widths, and one of 32 bits only."""
    found: dict[str, Any] = {}
    for done, (key, fixed) in enumerate((("pe", False), ("pe.fixed32", True))):
        progress(done, 2, key)
        total = used(Design(ProcessingElement, (fixed,), "element"))
        found |= {f"{key}.{name}": getattr(total, name) for name in COUNTED}
    found["pe.cost"] = found["pe.lut"] / found["pe.fixed32.lut"]
    return found


def arrays(progress: Report) -> dict[str, Any]:
    """Arrays alone: multipliers, weight registers, trees."""
    found: dict[str, Any] = {}
    for done, (key, name) in enumerate(ARRAYS.items()):
        progress(done, len(ARRAYS), name)
        architecture = load_architecture(name)
        family = load_part(architecture.part).family
        total = used(block("engine", architecture, family))
        found |= {f"{key}.{kind}": getattr(total, kind) for kind in COUNTED}
    return found


def mismatches(progress: Report) -> dict[str, Any]:
    """Every layer of every network at every width on the RTL, its cycles and its counters."""
    wrong = 0
    cases = [(name, width) for name in NETWORKS for width in (*WIDTHS, MIXED)]
    for done, (name, width) in enumerate(cases):
        progress(done, len(cases), f"{name}, {width}")
        qgraph, compiled = graph(name, width), program(name, width)
        codes = quantize_input(qgraph, network(name, IMAGES).x[:1])
        expected = run_reference(qgraph, codes)
        machine = simulated_machine(compiled, lambda message: progress(0, None, message))
        differing: list[str] = []

        def visit(layer: str, found: np.ndarray, expected=expected, differing=differing) -> None:
            if not np.array_equal(found, expected[layer][0]):
                differing.append(layer)

        _, spent = machine.trace(codes[0], visit)
        counted = accesses(compiled.architecture, compiled.instructions.tolist())
        wrong += len(differing) + (spent != compiled.cycles)
        wrong += sum(machine.get(register) != count for register, count in counted.items())
    return {"mismatches": wrong}


def others() -> dict[str, Any]:
    """What ``python -m benchmarks.multiwidth_accuracy`` keeps."""
    kept = RESULTS / "multiwidth_accuracy.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    return {key: value for key, value in found.items() if key in ACCURACIES}


PAPER = "Zhu et al."
ACCURACIES = {
    f"{name}.w{width}.{kind}": bar
    for name in NETWORKS
    for width, bars in ((8, (0.3, 0.02)), (16, (0.05, 0.01)))
    for kind, bar in zip(("loss", "error"), bars, strict=True)
}
BARS = {"speedup.w16": 1.9, "speedup.w8": 3.6, "accesses.w16": 0.48, "accesses.w8": 0.72}
PUBLISHED = {"speedup.w16": "1.273 / 1.012", "speedup.w8": "1.556 / 1.012", "accesses.w8": "0.562"}


def network_figures() -> list[Figure]:
    """Whole networks at each width."""
    found = []
    for name in NETWORKS:
        for key in ("w32", "w16", "w8", MIXED):
            how = f"{name}, {key}, 4 x 4 elements"
            found.append(Figure(f"{name}.{key}.cycles", "", free, f"cycles, {how}", form=",d"))
            found.append(
                Figure(
                    f"{name}.{key}.accesses", "", free, f"words of all memories, {how}", form=",d"
                )
            )
            if key != "w32":
                kinds = (("speedup", "speed-up over 32 bits"), ("fewer", "share of words saved"))
                found += [
                    Figure(f"{name}.{kind}.{key}", "", free, f"{what}, {how}", form=".3f")
                    for kind, what in kinds
                ]
    return found


def summary(key: str, what: str) -> Figure:
    """A figure over all networks."""
    published = f"{PUBLISHED[key]} ({PAPER})" if key in PUBLISHED else ""
    return Figure(key, f">= {BARS[key]}", at_least(BARS[key]), f"least {what}", published, ".3f")


def size_figures(key: str, what: str) -> list[Figure]:
    """Resources of a block."""
    return [
        Figure(f"{key}.{name}", "", free, f"{name.upper()} of {what}, Yosys, XC7Z020", form=",g")
        for name in COUNTED
    ]


def accuracy_figures() -> list[Figure]:
    """What the other half measures."""
    found = []
    for key, bar in ACCURACIES.items():
        what = "points below float" if key.endswith("loss") else "relative error of the outputs"
        published = f"2 ({PAPER})" if key.endswith("w8.loss") else ""
        found.append(Figure(key, f"<= {bar}", at_most(bar), what, published, ".3g"))
    return found


FIGURES = (
    summary("speedup.w16", "speed-up of 16 bits over 32"),
    summary("speedup.w8", "speed-up of 8 bits over 32"),
    summary("accesses.w16", "share of accesses saved at 16 bits"),
    summary("accesses.w8", "share of accesses saved at 8 bits"),
    *network_figures(),
    *accuracy_figures(),
    *size_figures("pe", "a processing element"),
    *size_figures("pe.fixed32", "a processing element of 32 bits only"),
    Figure("pe.cost", "", free, "look-up tables of three widths against one", form=".2f"),
    *size_figures("array4", "a 4 x 4 array"),
    *size_figures("array8", "an 8 x 8 array"),
    Figure(
        "mismatches", "0", at_most(0), "layers, cycles and counters that differ on RTL", form=",d"
    ),
)

SHORT = (("Cycles and accesses", cycles), ("Processing elements", elements))
MULTIWIDTH = Benchmark(
    "multiwidth",
    "Figures of system C, an array of three widths",
    FIGURES,
    quick=SHORT,
    long=(*SHORT, ("Arrays", arrays), ("Every layer on the RTL", mismatches)),
    others=others,
)
main = MULTIWIDTH.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.multiwidth")
