"""Figures of system C, an array of three widths: ``python -m benchmarks.multiwidth [--json FILE]``.

Whole networks run on the RTL. With ``--quick`` the smaller ones do, and no array is synthesized:
the rest comes from ``benchmarks/results/multiwidth.json`` and is marked, as are figures over all
networks.
Accuracies come from ``benchmarks/results/multiwidth_accuracy.json``, which
``python -m benchmarks.multiwidth_accuracy`` keeps, and are marked, too; without that file they are
missing and so miss their bars. Networks need ``NOMUL_DATA`` and ``NOMUL_MODELS``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.figures import RESULTS, Benchmark, Figure, Values, at_least, at_most, free
from benchmarks.multiwidth_accuracy import NETWORKS, SOURCES
from benchmarks.split_element import ProcessingElement
from boards.parts import load_part
from boards.resources import Resources
from boards.synth import synthesize
from compiler.accesses import accesses
from compiler.compile import compile as compile_graph
from nomul.blocks import block
from nomul.engines import simulated_machine
from nomul.output import Report
from quant.calibrate import Observations, find_method, observe
from quant.datasets import calibration_images
from quant.formats import FormatPlan
from quant.graph import Conv, Graph
from quant.mixed import WEIGHT, MixedScheme
from quant.quantize import quantize
from quant.quantized import QuantizedGraph
from quant.reference import quantize_input, run_reference
from quant.schemes import find_scheme
from rtl.architecture import load_architecture
from rtl.design import Design

__all__ = ["MULTIWIDTH", "main"]

MACHINE = "multiwidth-4x4-large"
ARRAYS = {"array4": "multiwidth-4x4", "array8": "multiwidth-8x8"}
WIDTHS = (32, 16, 8)
CALIBRATION_IMAGES = 16
MIXED = "mixed"
SMALLER = ("resnet8", "lenet16")
INT8 = find_scheme("int8")
COUNTED = ("lut", "ff", "dsp")


@dataclass(frozen=True)
class Source:
    """A float network, what a few images showed of it, and a test image.

    Cycles, words and exactness do not hang on what calibration finds.
    """

    graph: Graph
    observed: Observations
    image: np.ndarray

    @classmethod
    def of(cls, name: str) -> "Source":
        """One of :data:`NETWORKS`."""
        graph, preprocessing, data = SOURCES[name]()
        some = preprocessing(calibration_images(data, CALIBRATION_IMAGES))
        return cls(graph, observe(graph, some), preprocessing(data.test_images[:1]))

    def quantized(self, width: int | str) -> QuantizedGraph:
        """At one width, or with every other convolution's weights at 16 bits among 8."""
        if width != MIXED:
            return quantize(self.graph, self.observed, f"int{width}", "kl")
        plan = FormatPlan(self.graph, self.observed, find_method("kl"), MixedScheme(INT8))
        weighted = [step.name for step in plan.steps if isinstance(step.layer, Conv)]
        widths = {name + WEIGHT: 16 for name in weighted[1::2]}
        return quantize(self.graph, self.observed, INT8, "kl", widths=widths)


@dataclass(frozen=True)
class Measured:
    """An image on the RTL: what its registers say, and what differs.

    Parameters
    ----------
    cycles, accesses : int
        ``accesses`` are words from and to all memories.
    mismatches : int
        Layers that are not as the reference has them, and registers not as predicted.
    """

    cycles: int
    accesses: int
    mismatches: int


def on_rtl(qgraph: QuantizedGraph, image: np.ndarray, progress: Report) -> Measured:
    """A network on the RTL of the machine, layer by layer."""
    program = compile_graph(qgraph, load_architecture(MACHINE))
    codes = quantize_input(qgraph, image)
    expected = run_reference(qgraph, codes)
    machine = simulated_machine(program, lambda message: progress(0, None, message))
    differing: list[str] = []

    def visit(layer: str, found: np.ndarray) -> None:
        if not np.array_equal(found, expected[layer][0]):
            differing.append(layer)

    _, cycles = machine.trace(codes[0], visit)
    predicted = accesses(program.architecture, program.instructions.tolist())
    counted = {register: machine.get(register) for register in predicted}
    wrong = sum(counted[register] != words for register, words in predicted.items())
    mismatches = len(differing) + wrong + (cycles != program.cycles)
    return Measured(cycles, sum(counted.values()), mismatches)


def networks(names: Sequence[str], progress: Report) -> Values:
    """Networks at every width: cycles, words, and what differs from their prediction."""
    found: Values = {}
    cases: tuple[int | str, ...] = (*WIDTHS, MIXED)
    for place, name in enumerate(names):
        source = Source.of(name)
        differing = 0
        for number, width in enumerate(cases):
            done, total = place * len(cases) + number, len(names) * len(cases)
            progress(done, total, f"{name}, {width}")
            measured = on_rtl(source.quantized(width), source.image, progress)
            key = width if width == MIXED else f"w{width}"
            found[f"{name}.{key}.cycles"] = measured.cycles
            found[f"{name}.{key}.accesses"] = measured.accesses
            differing += measured.mismatches
        found[f"{name}.mismatches"] = differing
        found |= ratios(name, found)
    return found


def ratios(name: str, found: Values) -> Values:
    """A network's speed-ups and shares of words saved, against 32 bits."""
    cycles, words = found[f"{name}.w32.cycles"], found[f"{name}.w32.accesses"]
    result: Values = {}
    for key in ("w16", "w8", MIXED):
        result[f"{name}.speedup.{key}"] = cycles / found[f"{name}.{key}.cycles"]
        result[f"{name}.fewer.{key}"] = 1 - found[f"{name}.{key}.accesses"] / words
    return result


def whole(progress: Report) -> Values:
    """All networks; the least speed-up and share of words saved of them, and all mismatches."""
    found = networks(NETWORKS, progress)
    result: Values = {"mismatches": sum(found[f"{name}.mismatches"] for name in NETWORKS)}
    for key in ("w16", "w8"):
        for kind, summary in (("speedup", "speedup"), ("fewer", "accesses")):
            result[f"{summary}.{key}"] = min(found[f"{name}.{kind}.{key}"] for name in NETWORKS)
    return found | result


def used(design: Design) -> Resources:
    """What a design takes of the part."""
    return synthesize(design, load_part(load_architecture(ARRAYS["array4"]).part)).total


def elements(progress: Report) -> Values:
    """A processing element of three widths, and one of 32 bits only."""
    found: Values = {}
    for done, (key, fixed) in enumerate((("pe", False), ("pe.fixed32", True))):
        progress(done, 2, key)
        total = used(Design(ProcessingElement, (fixed,), "element"))
        found |= {f"{key}.{name}": getattr(total, name) for name in COUNTED}
    found["pe.cost"] = found["pe.lut"] / found["pe.fixed32.lut"]
    return found


def arrays(progress: Report) -> Values:
    """Arrays alone: multipliers, weight registers, trees."""
    found: Values = {}
    for done, (key, name) in enumerate(ARRAYS.items()):
        progress(done, len(ARRAYS), name)
        architecture = load_architecture(name)
        family = load_part(architecture.part).family
        total = used(block("engine", architecture, family))
        found |= {f"{key}.{kind}": getattr(total, kind) for kind in COUNTED}
    return found


def others() -> Values:
    """What ``python -m benchmarks.multiwidth_accuracy`` keeps."""
    kept = RESULTS / "multiwidth_accuracy.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    return {key: value for key, value in found.items() if key in ACCURACIES}


PAPER = "Zhu et al."
ACCURACIES = {
    f"{name}.{key}.{kind}": bar
    for name in NETWORKS
    for key, bars in (
        ("w8", (0.3, 0.02)),
        ("equalized", (0.3, 0.02)),
        ("mixed", (0.3, 0.02)),
        ("w16", (0.05, 0.01)),
    )
    for kind, bar in zip(("loss", "error"), bars, strict=True)
}
QUANTIZED = {
    "w8": "8 bits, KL",
    "equalized": "8 bits, equalized",
    "mixed": "equalized, 8 and 16 bits by error",
    "w16": "16 bits, KL",
}
KINDS = {"loss": "points below float", "error": "relative error of the outputs"}
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
        differing = f"layers, cycles and counters of {name} that differ on RTL"
        found.append(Figure(f"{name}.mismatches", "0", at_most(0), differing, form=",d"))
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
        _, quantized, kind = key.split(".")
        what = f"{QUANTIZED[quantized]}, {KINDS[kind]}"
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
        "mismatches",
        "0",
        at_most(0),
        "layers, cycles and counters that differ, all networks",
        form=",d",
    ),
)

MULTIWIDTH = Benchmark(
    "multiwidth",
    "Figures of system C, an array of three widths",
    FIGURES,
    quick=(
        ("Smaller networks on the RTL", partial(networks, SMALLER)),
        ("Processing elements", elements),
    ),
    long=(
        ("Networks on the RTL", whole),
        ("Processing elements", elements),
        ("Arrays", arrays),
    ),
    others=others,
)
main = MULTIWIDTH.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.multiwidth")
