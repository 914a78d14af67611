"""Figures of system A, the shift-add array: ``python -m benchmarks.shift_gemm [--json FILE]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/shift_gemm.json`` and marked.
"""

import json
import time
from typing import Any

import numpy as np

from benchmarks import accuracy, ecp5
from benchmarks.figures import Benchmark, Figure, at_least, at_most, free
from benchmarks.measure import SINGLE, quantized, test_images
from benchmarks.resnet18 import resnet18
from boards.parts import load_part
from boards.synth import synthesize
from compiler.compile import compile as compile_graph
from compiler.program import Program
from nomul.blocks import block
from nomul.engines import simulated_machine
from nomul.output import Report
from nomul.verify import verify
from quant.reference import quantize_input
from rtl.architecture import load_architecture
from sim.simulators import program_simulator

__all__ = ["SHIFT_GEMM", "main"]

MACHINE = "zynq7020"
LARGE = "zynq7020-imagenet"
SCHEME, FORMAT = SINGLE, "w4r"
NETWORKS = {"resnet20": "cifar10-jpeg", "resnet8": "cifar10-lossless"}
IMAGES = 8


def program(network: str) -> Program:
    """A network as ``zynq7020`` runs it, one pass a weight."""
    qgraph = quantized(network, SCHEME, NETWORKS[network])
    return compile_graph(qgraph, load_architecture(MACHINE))


def array(progress: Report) -> dict[str, Any]:
    """What the machine could do in a cycle."""
    return {"macs_per_clock": load_architecture(MACHINE).macs_per_cycle}


def synthesis(progress: Report) -> dict[str, Any]:
    """What the whole machine takes of the part, and the array with its accumulators."""
    architecture = load_architecture(MACHINE)
    part = load_part(architecture.part)
    design = block("machine", architecture, part.family)
    report = synthesize(design, part, lambda message: progress(0, None, message))
    blocks, total = report.grouped(), report.total
    lut = blocks["engine"].lut + blocks["accumulator"].lut
    compiled = program("resnet20")
    delivered = 2 * sum(layer.macs for layer in compiled.layers) / compiled.cycles
    return {
        "lut": total.lut,
        "ff": total.ff,
        "bram36": total.bram,
        "dsp": total.dsp,
        "lut_per_mac": lut / architecture.macs_per_cycle,
        "ops_per_clock_per_klut": delivered / (total.lut / 1000),
    }


def cycles(progress: Report) -> dict[str, Any]:
    """Both networks on the RTL: cycles of an image, and clocks simulated a second."""
    found: dict[str, Any] = {}
    for network, dataset in NETWORKS.items():
        compiled = program(network)
        qgraph = quantized(network, SCHEME, dataset)
        codes = quantize_input(qgraph, test_images(network, dataset, 3).x)
        machine = simulated_machine(compiled, lambda message: progress(0, None, message))
        machine.run_codes(codes[0])
        begin = time.process_time()
        counts = {machine.run_codes(image)[1] for image in codes[1:]}
        if counts != {compiled.cycles}:
            raise AssertionError(f"{network}: {counts} cycles, predicted {compiled.cycles}")
        found[f"{network}.cycles"] = compiled.cycles
        speed = 2 * compiled.cycles / (time.process_time() - begin)
        found.setdefault("rtl.clocks_per_second", speed)
    return found


def large(progress: Report) -> dict[str, Any]:
    """ResNet-18 at 224 x 224 with random weights on the program simulator."""
    qgraph = resnet18(FORMAT)
    compiled = compile_graph(qgraph, load_architecture(LARGE))
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    codes = quantize_input(qgraph, image)
    result = program_simulator(compiled, batch=1).run(codes)
    if result.cycles != compiled.cycles:
        raise AssertionError(f"{result.cycles} cycles, predicted {compiled.cycles}")
    return {"resnet18.busy": compiled.busy}


def mismatches(progress: Report) -> dict[str, Any]:
    """Every layer of both networks in every stage, on the RTL of the whole machine."""
    wrong = 0
    for network, dataset in NETWORKS.items():
        qgraph = quantized(network, SCHEME, dataset)
        result = verify(qgraph, program(network), test_images(network, dataset, IMAGES).x, progress)
        wrong += result.failures
    return {"mismatches": wrong}


def others() -> dict[str, Any]:
    """What ``python -m benchmarks.ecp5`` and ``python -m benchmarks.accuracy`` measured."""
    routed = json.loads(ecp5.RESULTS.read_text())["arrays"]["16 columns"]["median_mhz"]
    kept = json.loads(accuracy.RESULTS.read_text())
    losses = {key: value for key, value in kept.items() if key.endswith(".loss")}
    return losses | {"ecp5.mhz": routed}


JPEG, LOSSLESS = "10,000 JPEG images", "1,000 lossless images"


def loss(network: str, scheme: str, limit: float | None, images: str) -> Figure:
    """Top-1 points that quantization without training cost."""
    bar = "" if limit is None else f"<= {limit}"
    return Figure(
        f"{network}.{scheme}.loss",
        bar,
        free if limit is None else at_most(limit),
        f"points lost, {images}",
        "none without training; with: APoT 4/4 bit 0.51, INQ 5 bit 1.11",
        ".2f",
    )


WHOLE = "whole machine, Yosys, xc7z020"
FIGURES = (
    Figure(
        "macs_per_clock",
        ">= 1296",
        at_least(1296),
        "peak, w4r x 8 bits, the array's size",
        "69.7 GOPS, clock not known (A)",
        ",d",
    ),
    Figure("lut", "<= 40,000", at_most(40_000), WHOLE, "12,530 (A), 38,100 (MSD)", ",d"),
    Figure("ff", "<= 80,000", at_most(80_000), WHOLE, form=",d"),
    Figure("bram36", "<= 130", at_most(130), WHOLE),
    Figure("dsp", "0", at_most(0), WHOLE, "8 (A), 214 (MSD)"),
    Figure(
        "lut_per_mac", "<= 22", at_most(22), "array and accumulators, Yosys, per MAC", form=".2f"
    ),
    Figure(
        "resnet20.cycles",
        "<= 38,000",
        at_most(38_000),
        "end to end: input to logits, RTL, one CIFAR-10 image",
        form=",d",
    ),
    Figure(
        "resnet8.cycles",
        "<= 13,500",
        at_most(13_500),
        "end to end: input to logits, RTL, one CIFAR-10 image",
        "1.51 ms, clock not stated (FINN, W1A1, MLPerf Tiny)",
        ",d",
    ),
    Figure(
        "resnet18.busy",
        ">= 0.85",
        at_least(0.85),
        "end to end: share of MAC slots, 224 x 224, program simulator, weights on chip",
        form=".3f",
    ),
    Figure(
        "ops_per_clock_per_klut",
        ">= 50",
        at_least(50),
        "end to end: ResNet-20 on the RTL, 2 a MAC, over the whole machine's LUT",
        "36 (MSD, ResNet-18, end to end)",
        ".1f",
    ),
    Figure(
        "rtl.clocks_per_second",
        ">= 100,000",
        at_least(100_000),
        "compiled RTL of the whole machine, one CPU, processor time",
        form=",.0f",
    ),
    Figure("ecp5.mhz", "", free, "16 columns of 16 lanes routed on ECP5, median", form=".0f"),
    loss("resnet20", "log5", 0.3, JPEG),
    loss("resnet20", "log4", 0.8, JPEG),
    loss("resnet20", SCHEME, None, JPEG),
    loss("resnet20-original", "log5", 1.0, LOSSLESS),
    loss("resnet20-original", "log4", 1.5, LOSSLESS),
    loss("resnet20-original", SCHEME, None, LOSSLESS),
    loss("resnet8", "log5", 1.0, LOSSLESS),
    loss("resnet8", "log4", 1.5, LOSSLESS),
    loss("resnet8", SCHEME, None, LOSSLESS),
    Figure(
        "mismatches",
        "0",
        at_most(0),
        f"layers that differ in any stage, {IMAGES} images of both networks on the RTL",
        form=",d",
    ),
)

SHORT = (
    ("The array", array),
    ("ResNet-20 and ResNet-8 on the RTL", cycles),
)
SHIFT_GEMM = Benchmark(
    "shift_gemm",
    "Figures of system A, the shift-add array",
    FIGURES,
    quick=SHORT,
    long=(
        *SHORT,
        ("Synthesize the whole machine", synthesis),
        ("ResNet-18 at 224 x 224 on the program simulator", large),
        ("Every layer of both networks in every stage", mismatches),
    ),
    others=others,
)
main = SHIFT_GEMM.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.shift_gemm")
