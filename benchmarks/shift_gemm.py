"""Figures of system A, the shift-add array: ``python -m benchmarks.shift_gemm [--json FILE]``.

With ``--quick`` what takes long is taken from ``benchmarks/results/shift_gemm.json`` and marked.
"""

import json
import time
from typing import Any

import numpy as np

from benchmarks import ecp5
from benchmarks.figures import Benchmark, Figure, at_least, at_most, free
from benchmarks.measure import quantized, test_images
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
from sim.program import ProgramSimulator

__all__ = ["SHIFT_GEMM", "main"]

MACHINE = "zynq7020"
LARGE = "zynq7020-imagenet"
SCHEME = "w4r"
NETWORKS = {"resnet20": "cifar10-jpeg", "resnet8": "cifar10-lossless"}
IMAGES = 8

PUBLISHED = "published: 36 (MSD, FCCM 2023, end to end), 5.6 at most 100 MHz for PAPERS A"
END, PEAK = "end to end, RTL", "peak"


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
    # A word of operations is two a MAC of the network, delivered, for the whole machine.
    delivered = 2 * program("resnet20").macs / program("resnet20").cycles
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
        machine.run(codes[0])
        begin = time.process_time()
        counts = {machine.run(image)[1] for image in codes[1:]}
        if counts != {compiled.cycles}:
            raise AssertionError(f"{network}: {counts} cycles, predicted {compiled.cycles}")
        found[f"{network}.cycles"] = compiled.cycles
        speed = 2 * compiled.cycles / (time.process_time() - begin)
        found.setdefault("rtl.clocks_per_second", speed)
    return found


def large(progress: Report) -> dict[str, Any]:
    """ResNet-18 at 224 x 224 with random weights on the program simulator."""
    qgraph = resnet18(SCHEME)
    compiled = compile_graph(qgraph, load_architecture(LARGE))
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    codes = quantize_input(qgraph, image)
    _, counted = ProgramSimulator(compiled, batch=1).run(codes)
    return {"resnet18.busy": compiled.macs / (counted * compiled.architecture.macs_per_cycle)}


def clock(progress: Report) -> dict[str, Any]:
    """The kept median of the routed 16-column array: ``python -m benchmarks.ecp5`` measures it."""
    kept = json.loads(ecp5.RESULTS.read_text())
    return {"ecp5.mhz": kept["arrays"]["16 columns"]["median_mhz"]}


def mismatches(progress: Report) -> dict[str, Any]:
    """Every layer of both networks in every stage, on the RTL of the whole machine."""
    wrong = 0
    for network, dataset in NETWORKS.items():
        qgraph = quantized(network, SCHEME, dataset)
        result = verify(qgraph, program(network), test_images(network, dataset, IMAGES).x, progress)
        wrong += result.mismatches + (result.mismatches == 0 and result.problem() is not None)
    return {"mismatches": wrong}
