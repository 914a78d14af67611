"""Figures of system D, the shifting arrays: ``python -m benchmarks.svpe [--json FILE]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/svpe.json`` and marked.
"""

import json
from typing import Any

import numpy as np

from benchmarks import alexnet_speed
from benchmarks.alexnet import alexnet
from benchmarks.array_activity import multiplied, only_added, real_layer, shifted
from benchmarks.figures import RESULTS, Benchmark, Figure, at_least, at_most, free
from benchmarks.lone_array import cost
from benchmarks.measure import quantized, test_images
from benchmarks.nbq import chain, data
from boards.parts import load_part
from compiler.compile import compile as compile_graph
from nomul.engines import simulated_machine
from nomul.output import Report
from nomul.verify import verify
from quant.quantized import QuantizedGraph
from quant.reference import quantize_input
from rtl.architecture import load_architecture
from rtl.convolver.plan import WIDTHS

__all__ = ["SVPE", "main"]

MACHINE, TWIN = "svpe-small", "vpe-small"
BITS = 16
SCHEMES = {MACHINE: "w3", TWIN: "int8"}
NETWORKS = ("resnet20", "resnet8")
DATASET = "cifar10-jpeg"
IMAGES = 8
SIDE, DIVISOR = 67, 8


def arrays(progress: Report) -> dict[str, Any]:
    """Lone arrays of all widths of weights, and their twin."""
    found: dict[str, Any] = {}
    cases = [*((f"svpe.n{bits}", "shift", bits) for bits in WIDTHS), ("vpe", "multiply", BITS)]
    for done, (key, kind, bits) in enumerate(cases):
        progress(done, len(cases), key)
        used = cost(kind, bits, BITS)
        found |= {f"{key}.lut": used.lut, f"{key}.ff": used.ff, f"{key}.dsp": used.dsp}
    return found


def speedup(progress: Report) -> dict[str, Any]:
    """AlexNet on the best machine of each kind."""
    found: dict[str, Any] = {}
    for network in alexnet_speed.NETWORKS:
        speeds = {}
        for kind in ("svpe", "vpe"):
            progress(0, None, f"{network} on {kind}")
            speeds[kind] = alexnet_speed.best(kind, network)
            inputs, outputs = alexnet_speed.size_of(speeds[kind].architecture)
            found[f"{network}.{kind}.arrays"] = f"({inputs}, {outputs})"
            found[f"{network}.{kind}.cycles"] = speeds[kind].total
        found[f"{network}.speedup"] = speeds["vpe"].total / speeds["svpe"].total
    return found


def whole_arrays(progress: Report) -> dict[str, Any]:
    """Arrays and interconnect of the machine that fills the board."""
    architecture = load_architecture("svpe-zcu102")
    inputs, outputs = alexnet_speed.size_of(architecture)
    progress(0, None, f"{inputs} arrays of an output channel")
    lut = alexnet_speed.arrays_lut("svpe") * inputs * outputs
    return {"zcu102.lut": lut, "zcu102.share": lut / load_part(architecture.part).available.lut}


def toggles(progress: Report) -> dict[str, Any]:
    """Both arrays on one layer."""
    progress(0, 3, "layer")
    layer = real_layer()
    progress(1, 3, "shifting")
    shift = shifted(layer)
    progress(2, 3, "multiplying")
    multiply = multiplied(layer)
    return {
        "toggles.svpe": shift,
        "toggles.vpe": multiply,
        "toggles.ratio": shift / multiply,
        "toggles.vpe.adders": only_added(layer),
    }


def cycles(progress: Report) -> dict[str, Any]:
    """Both networks on the RTL: cycles of an image."""
    found = {}
    for network in NETWORKS:
        qgraph = quantized(network, SCHEMES[MACHINE], DATASET)
        program = compile_graph(qgraph, load_architecture(MACHINE))
        machine = simulated_machine(program, lambda message: progress(0, None, message))
        _, count = machine.run_codes(quantize_input(qgraph, test_images(network, DATASET, 1).x)[0])
        if count != program.cycles:
            raise AssertionError(f"{network}: {count} cycles, predicted {program.cycles}")
        found[f"{network}.cycles"] = count
    return found


def mismatches(progress: Report) -> dict[str, Any]:
    """Every layer of all networks in every stage, on the RTL of both engines' machines."""
    found: dict[str, Any] = {}
    for network in NETWORKS:
        x = test_images(network, DATASET, IMAGES).x
        wrong = [
            differing(quantized(network, scheme, DATASET), machine, x, progress)
            for machine, scheme in SCHEMES.items()
        ]
        found[f"{network}.mismatches"], found[f"{network}.vpe.mismatches"] = wrong
    trained = chain("resnet20", 3)
    x = trained.preprocessing(data().test_images[:IMAGES])
    found["resnet20.nbq3.mismatches"] = differing(trained.qgraph, MACHINE, x, progress)
    x = np.random.default_rng(0).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)
    qgraph = alexnet(SIDE, DIVISOR, classifier=True)
    found["alexnet.mismatches"] = sum(differing(qgraph, name, x, progress) for name in SCHEMES)
    return found


def differing(qgraph: QuantizedGraph, machine: str, x: np.ndarray, progress: Report) -> int:
    """Tensors that differ, and one more where only cycles do."""
    program = compile_graph(qgraph, load_architecture(machine))
    return verify(qgraph, program, x, progress).failures


TRAINED = ("resnet20.nbq3.loss", "resnet20.nbq4.loss")


def others() -> dict[str, Any]:
    """What training reached, as ``python -m benchmarks.nbq`` keeps it."""
    path = RESULTS / "nbq.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    return {key: kept[key] for key in TRAINED if key in kept}


PAPER = {"lut": 307, "ff": 232, "dsp": 3}
TWIN_PAPER = {"lut": 41, "ff": 213, "dsp": 12}
ALONE = "3x3 array, {} bits, 16-bit activations, Yosys, xcup"


def array_figures() -> list[Figure]:
    """Costs of arrays; bars for n = 3."""
    bars = {"lut": (250, "<= 250"), "ff": (250, "<= 250"), "dsp": (0, "0")}
    found = []
    for bits in WIDTHS:
        for name, (most, bar) in bars.items():
            with_bar = bits == 3 or name == "dsp"
            found.append(
                Figure(
                    f"svpe.n{bits}.{name}",
                    bar if with_bar else "",
                    at_most(most) if with_bar else free,
                    ALONE.format(f"n = {bits}, weights of {bits}"),
                    str(PAPER[name]) if bits == 3 else "",
                    ",.0f",
                )
            )
    for name in bars:
        how = ALONE.format("its twin with multipliers, weights of 16")
        found.append(Figure(f"vpe.{name}", "", free, how, str(TWIN_PAPER[name]), ",.0f"))
    return found


def speed_figures(network: str, what: str, published: str, bar: bool) -> list[Figure]:
    """Cycles of a network's convolutions."""
    board = f"{what}, best (Pn, Pm) on ZCU102"
    found = []
    for kind, sizes in (("svpe", "(8, 32)"), ("vpe", "(4, 16)")):
        found += [
            Figure(f"{network}.{kind}.arrays", "", free, board, sizes, "s"),
            Figure(f"{network}.{kind}.cycles", "", free, f"{board}, an image", form=",d"),
        ]
    holds = at_least(3.5) if bar else free
    text = ">= 3.5" if bar else ""
    how = f"{board}: images a clock, svpe over vpe"
    return [*found, Figure(f"{network}.speedup", text, holds, how, published, ".2f")]


RTL = "layers that differ in any stage, RTL"
FIGURES = (
    *array_figures(),
    *speed_figures(
        "alexnet", "AlexNet's convolutions", "2.9 measured, 4.1 predicted (Chen et al.)", True
    ),
    *speed_figures("alexnet2012", "AlexNet's of 2012", "", False),
    Figure("zcu102.lut", "", free, "arrays and interconnect of svpe-zcu102, Yosys", form=",.0f"),
    Figure("zcu102.share", "<= 0.9", at_most(0.9), "of the look-up tables of ZCU102", form=".3f"),
    Figure("toggles.svpe", "", free, "changes of nets a MAC, n = 3, no glitches", form=".1f"),
    Figure("toggles.vpe", "", free, "the same, 16-bit weights, multipliers as gates", form=".1f"),
    Figure(
        "toggles.vpe.adders", "", free, "the same without what is in the multipliers", form=".1f"
    ),
    Figure(
        "toggles.ratio",
        "",
        free,
        "activity, not power: svpe over vpe, a layer of ResNet-20",
        "0.687, energy of the system (Chen et al.)",
        ".3f",
    ),
    Figure(
        "resnet20.nbq3.loss",
        "<= 0.7",
        at_most(0.7),
        "points lost by training with 3 bits, 10,000 JPEG images",
        "0.54, ResNet-110 (Chen et al.); 0.47 (APoT)",
        ".2f",
    ),
    Figure(
        "resnet20.nbq4.loss",
        "<= 0.4",
        at_most(0.4),
        "points lost by training with 4 bits, 10,000 JPEG images",
        "0.46, ResNet-110 (Chen et al.); 0.51 (APoT)",
        ".2f",
    ),
    Figure("resnet20.cycles", "", free, "input to logits, RTL, svpe-small", form=",d"),
    Figure("resnet8.cycles", "", free, "input to logits, RTL, svpe-small", form=",d"),
    *(
        Figure(f"{network}{twin}.mismatches", "0", at_most(0), f"{RTL}, {IMAGES} images", form=",d")
        for network in NETWORKS
        for twin in ("", ".vpe")
    ),
    Figure(
        "resnet20.nbq3.mismatches",
        "0",
        at_most(0),
        f"{RTL}, ResNet-20 trained with 3 bits, {IMAGES} images",
        form=",d",
    ),
    Figure(
        "alexnet.mismatches",
        "0",
        at_most(0),
        f"{RTL}, AlexNet's shape for images of {SIDE} x {SIDE}, both engines, 2 images",
        form=",d",
    ),
)

SHORT = (
    ("Arrays of every width", arrays),
    ("AlexNet's convolutions on ZCU102", speedup),
    ("ResNet-20 and ResNet-8 on the RTL", cycles),
)
SVPE = Benchmark(
    "svpe",
    "Figures of system D, shift vector processing elements",
    FIGURES,
    quick=SHORT,
    long=(
        *SHORT,
        ("All arrays of the board", whole_arrays),
        ("Toggles of both arrays", toggles),
        ("Every layer of all networks in every stage", mismatches),
    ),
    others=others,
)
main = SVPE.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.svpe")
