"""Figures of system E, codebook arrays: ``python -m benchmarks.conv5x5 [--json FILE]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/conv5x5.json`` and marked.
Accuracies come from ``benchmarks/results/clipq.json``, which ``python -m benchmarks.clipq`` keeps,
and are marked, too. The networks that were trained run on the RTL, which needs ``NOMUL_DATA``.
"""

import dataclasses
import json
from typing import Any

import numpy as np

from benchmarks import clipq
from benchmarks.figures import RESULTS, Benchmark, Figure, at_least, at_most, free
from benchmarks.nbq import data
from benchmarks.nin import CodebookBuilder, nin
from benchmarks.select_elements import Product, SelectColumn
from boards.parts import load_part
from boards.resources import Resources
from boards.synth import synthesize
from compiler.compile import compile as compile_graph
from compiler.mapping.passes import choose_passes
from compiler.program import Program
from compiler.settings import Run, execute
from nomul.blocks import block
from nomul.output import Report
from nomul.verify import verify
from quant.quantized import QConv
from rtl.architecture import load_architecture
from rtl.codebook.column import CodebookColumn
from rtl.codebook.multiples import VALUES
from rtl.columns.plan import PLANS
from rtl.design import Design
from rtl.isa import Nest

__all__ = ["CONV5X5", "main"]

PUBLISHED, FILLING, WHOLE = "conv5x5-published", "conv5x5-zynq7020", "conv5x5-nin"
KERNELS = (1, 3, 5, 7, 9, 11)
IMAGES = 2
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
    whole = load_architecture(WHOLE)
    # The published arrays need more weight words, as their words are shorter.
    memory = dataclasses.replace(whole.memory, weight_words=2 * whole.memory.weight_words)
    published = dataclasses.replace(load_architecture(PUBLISHED), memory=memory)
    for key, architecture in (("nin", whole), ("nin.published", published)):
        progress(0, None, architecture.name)
        program = compile_graph(nin(), architecture)
        macs = sum(record.macs for record in program.layers)
        found |= {
            f"{key}.busy": program.busy,
            f"{key}.cycles": program.cycles,
            f"{key}.ops_per_clock": 2 * macs / program.cycles,
        }
    return found


def used(design: Design) -> Resources:
    """What a design takes of the part."""
    return synthesize(design, load_part(load_architecture(FILLING).part)).total


def array(progress: Report) -> dict[str, Any]:
    """The published arrays alone: elements, weight registers, adders, products."""
    architecture = load_architecture(PUBLISHED)
    progress(0, None, "4 x 4 arrays")
    total = used(block("engine", architecture, load_part(architecture.part).family))
    return {
        "array.pes": architecture.macs_per_cycle,
        **{f"array.{name}": getattr(total, name) for name in ("lut", "ff", "dsp", "bram")},
    }


def elements(progress: Report) -> dict[str, Any]:
    """Look-up tables of an element of three kinds, with its share of what elements share."""
    architecture = load_architecture(FILLING)
    bits, outputs = architecture.activation_bits, architecture.engine_config.lanes
    family = load_part(architecture.part).family
    progress(0, 3, "sums by value")
    own = used(Design(CodebookColumn, (ELEMENTS, bits, family), "column")).lut
    progress(1, 3, "selected products")
    select = used(Design(SelectColumn, (ELEMENTS, bits, family), "select")).lut
    product = used(Design(Product, (bits,), "product")).lut
    progress(2, 3, "shifts")
    shifting = json.loads((RESULTS / "lane_costs.json").read_text())[f"{FORMAT}.a{bits}.{family}"][
        "lut"
    ]
    machine, fmt = load_architecture(SHIFTING), PLANS[FORMAT].format
    passes = [
        (record.macs, len(choose_passes(machine, fmt, record.name, record.weight)[0]))
        for record in nin().layers
        if isinstance(record, QConv)
    ]
    mean = sum(macs * count for macs, count in passes) / sum(macs for macs, _ in passes)
    return {
        "element.lut": own / ELEMENTS,
        "element.select.lut": select / ELEMENTS + VALUES * product / outputs,
        "element.shift.lut": shifting * mean,
        "element.shift.passes": mean,
    }


def machines(progress: Report) -> dict[str, Any]:
    """The machine that fills the part, and that of the published arrays."""
    found: dict[str, Any] = {}
    for key, name in (("machine", FILLING), ("published", PUBLISHED)):
        architecture = load_architecture(name)
        part = load_part(architecture.part)
        design = block("machine", architecture, part.family)
        total = synthesize(design, part, lambda message: progress(0, None, message)).total
        found |= {f"{key}.{name}": getattr(total, name) for name in ("lut", "ff", "dsp", "bram")}
    return found


def peak(progress: Report) -> dict[str, Any]:
    """What the machine could do in a cycle."""
    return {"machine.macs_per_clock": load_architecture(FILLING).macs_per_cycle}


def mismatches(progress: Report) -> dict[str, Any]:
    """Every layer in every stage, on the RTL, and its cycles: random codebooks and trained ones."""
    architecture, graph = load_architecture(WHOLE), nin()
    x = np.random.default_rng(0).normal(size=(1, *graph.input_shape)).astype(np.float32)
    found = {"mismatches": verify(graph, compile_graph(graph, architecture), x, progress).failures}
    for name in clipq.NETWORKS:
        made = clipq.chain(clipq.trained(name, f"clipq{clipq.BITS}"))
        program = compile_graph(made.qgraph, architecture)
        x = made.preprocessing(data().test_images[:IMAGES])
        found[f"{name}.clipq.mismatches"] = verify(made.qgraph, program, x, progress).failures
        found[f"{name}.clipq.cycles"] = program.cycles
    return found


def others() -> dict[str, Any]:
    """What training reached, as ``python -m benchmarks.clipq`` keeps it."""
    kept = RESULTS / "clipq.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    return {key: value for key, value in found.items() if key in TRAINED}


TRAINED = ("nin.float", "nin.clipq.loss", "nin.zeros")
PAPER = "Cheng et al."
BARS = {1: 1.0, 3: 0.72, 5: 1.0, 7: 49 / 50, 11: 121 / 125}
TEXT = {1: "1", 3: ">= 0.72", 5: "1", 7: ">= 49/50", 11: ">= 121/125"}
BOARD = {"lut": "42,416", "ff": "22,498", "dsp": "5", "bram": "120"}


def busy_figures() -> list[Figure]:
    """Elements at work, by kernel."""
    found = []
    what = f"layer, {CHANNELS} to {CHANNELS} channels, {SIDE} x {SIDE}, 4 x 4 arrays"
    for kernel in KERNELS:
        size = f"{kernel}x{kernel} {what}"
        published = f"0.24 ({PAPER}, computed)" if kernel == 3 else ""
        holds = at_least(BARS[kernel]) if kernel in BARS else free
        text = TEXT.get(kernel, "")
        how = f"elements with a weight, while computing: {size}"
        found += [
            Figure(f"busy.k{kernel}", text, holds, how, published, ".3f"),
            Figure(f"layer.k{kernel}", "", free, f"of all cycles: {size}", form=".3f"),
        ]
    return found


def machine_figures(key: str, what: str, published: dict[str, str]) -> list[Figure]:
    """What a whole machine takes of the part."""
    bars = {"lut": (42_000, "<= 42,000"), "dsp": (0, "0")}
    found = []
    for name in ("lut", "ff", "dsp", "bram"):
        most, text = bars.get(name, (None, ""))
        holds = free if most is None else at_most(most)
        beside = f"{published[name]} ({PAPER})" if published else ""
        how = f"{what}, {name.upper()} of XC7Z020, Yosys"
        found.append(Figure(f"{key}.{name}", text, holds, how, beside, ",g"))
    return found


RTL = "cycles exact, RTL"
FIGURES = (
    *busy_figures(),
    Figure(
        "nin.busy", ">= 0.7", at_least(0.7), f"elements, all cycles, {RTL}, {WHOLE}", form=".3f"
    ),
    Figure("nin.cycles", "", free, f"input to logits, {RTL}, {WHOLE}", form=",d"),
    Figure(
        "nin.ops_per_clock",
        "",
        free,
        f"delivered end to end on {WHOLE}, a MAC is two",
        f"820 peak, about 24 % of them delivered on 3x3 ({PAPER}, computed)",
        ",.0f",
    ),
    Figure("nin.published.busy", "", free, "the same, 4 x 4 arrays, as predicted", form=".3f"),
    Figure("nin.published.cycles", "", free, "the same, 4 x 4 arrays, as predicted", form=",d"),
    Figure(
        "nin.published.ops_per_clock", "", free, "the same, 4 x 4 arrays, as predicted", form=",.0f"
    ),
    Figure("array.pes", "400", at_least(400), "4 x 4 arrays of 25", "400", ",d"),
    Figure("array.lut", "<= 14,000", at_most(14_000), "4 x 4 arrays alone, Yosys", form=",g"),
    Figure("array.ff", "", free, "4 x 4 arrays alone, Yosys", form=",g"),
    Figure("array.dsp", "0", at_most(0), "4 x 4 arrays alone, Yosys", form=",g"),
    Figure("array.bram", "", free, "4 x 4 arrays alone, Yosys", form=",g"),
    *machine_figures("published", "machine of 4 x 4 arrays", BOARD),
    *machine_figures("machine", "machine of 12 x 4 arrays", {}),
    Figure(
        "machine.macs_per_clock",
        ">= 1,000",
        at_least(1000),
        "elements of the machine that fills the part: peak",
        f"410 (820 operations, {PAPER})",
        ",d",
    ),
    Figure("element.lut", "", free, f"an element: sums by value, {ELEMENTS} an output", form=".1f"),
    Figure(
        "element.select.lut",
        "",
        free,
        "an element that selects a shared product, products shared by 20 outputs",
        form=".1f",
    ),
    Figure(
        "element.shift.lut",
        "",
        free,
        f"an element that shifts ({FORMAT}), times the passes that codebooks of 8 bits need",
        form=".1f",
    ),
    Figure("element.shift.passes", "", free, "mean of those passes, the NIN", form=".2f"),
    Figure(
        "nin.float",
        ">= 84",
        at_least(84),
        "top-1 in float, 10,000 JPEG images",
        f"90.88, original images ({PAPER})",
        ".2f",
    ),
    Figure(
        "nin.clipq.loss",
        "<= 0.3",
        at_most(0.3),
        "points lost with 8-bit CLIP-Q",
        f"0.15 ({PAPER})",
        ".2f",
    ),
    Figure("nin.zeros", ">= 0.2", at_least(0.2), "share of weights that are 0", "0.2", ".3f"),
    Figure(
        "mismatches",
        "0",
        at_most(0),
        f"layers of the NIN that differ, {WHOLE}, random codebooks",
        form=",d",
    ),
    *(
        figure
        for name in clipq.NETWORKS
        for figure in (
            Figure(
                f"{name}.clipq.mismatches",
                "0",
                at_most(0),
                f"layers of the trained {name} that differ, {WHOLE}, {IMAGES} images",
                form=",d",
            ),
            Figure(f"{name}.clipq.cycles", "", free, f"of an image, trained {name}", form=",d"),
        )
    ),
)

SHORT = (
    ("Every kernel size", busy),
    ("Network in network", network),
    ("The published arrays", array),
    ("Elements of three kinds", elements),
    ("The largest machine", peak),
)
CONV5X5 = Benchmark(
    "conv5x5",
    "Figures of system E, codebook arrays",
    FIGURES,
    quick=SHORT,
    long=(
        *SHORT,
        ("Whole machines", machines),
        ("Every layer in every stage", mismatches),
    ),
    others=others,
)
main = CONV5X5.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.conv5x5")
