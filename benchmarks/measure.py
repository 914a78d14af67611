"""How each figure of the chain is measured; every function returns its figures by key."""

import time
from functools import cache
from typing import Any

from benchmarks.accuracy import measure
from benchmarks.layers import check_layers
from compiler.compile import compile as compile_graph
from nomul.demo import run_demo
from nomul.engines import simulated_machine
from nomul.images import load_images
from nomul.output import Report
from nomul.sources import PRETRAINED_SHAPE, find_network
from nomul.verify import verify
from quant.importers import load
from quant.quantize import quantize
from quant.quantized import QuantizedGraph
from quant.reference import predict, quantize_input
from rtl.architecture import load_architecture
from sim.simulators import program_simulator

__all__ = [
    "accuracy",
    "demo",
    "layers",
    "layers_quick",
    "networks",
    "reference_speed",
    "resnet20_machine",
]

CALIBRATION = 256
SCHEMES = ("int8", "log4")
SINGLE = "w4r+"
# One pass a weight, but for the last layer, on the machine that is built for it; int8 in several
# passes on the larger one.
MACHINES = {SINGLE: "zynq7020", "int8": "zynq7045"}
IMAGES = 8
LAYERS, LAYERS_QUICK = 1000, 100


@cache
def network(name: str) -> tuple[Any, Any]:
    """A pretrained network's module and preprocessing."""
    found = find_network(name, None, None)
    return found.model, found.preprocessing


@cache
def quantized(name: str, scheme: str, dataset: str) -> QuantizedGraph:
    """A pretrained network in integers, calibrated on a data set's training images."""
    module, preprocessing = network(name)
    sample = load_images(
        dataset, PRETRAINED_SHAPE, train=True, count=CALIBRATION, preprocess=preprocessing
    )
    graph = load(module, PRETRAINED_SHAPE, name)
    return quantize(graph, sample.x, scheme=scheme)


def test_images(name: str, dataset: str, count: int | None = None):
    """Test images of a data set as a network wants them."""
    return load_images(dataset, PRETRAINED_SHAPE, count=count, preprocess=network(name)[1])


def demo(progress: Report) -> dict[str, Any]:
    """The demo; its figures under ``demo.``."""
    found = run_demo().figures()
    return {f"demo.{key}": value for key, value in found.items()}


def resnet20_machine(progress: Report) -> dict[str, Any]:
    """One image on the RTL and on the program simulator: time, cycles, busy slots."""
    qgraph = quantized("resnet20", SINGLE, "cifar10-jpeg")
    program = compile_graph(qgraph, load_architecture(MACHINES[SINGLE]))
    codes = quantize_input(qgraph, test_images("resnet20", "cifar10-jpeg", 2).x)
    machine = simulated_machine(program, lambda message: progress(0, None, message))
    machine.run_codes(codes[0])
    begin = time.monotonic()
    _, cycles = machine.run_codes(codes[1])
    rtl = time.monotonic() - begin
    simulator = program_simulator(program, batch=1)
    begin = time.monotonic()
    simulator.run(codes[:1])
    return {
        "cycles.predicted": program.cycles,
        "cycles.rtl": cycles,
        "rtl.seconds_per_image": rtl,
        "program.seconds_per_image": time.monotonic() - begin,
        "resnet20.busy": program.busy,
    }


def reference_speed(progress: Report) -> dict[str, Any]:
    """Images a second of the integer reference on ResNet-20, after one batch to warm up."""
    qgraph = quantized("resnet20", "log4", "cifar10-jpeg")
    images = test_images("resnet20", "cifar10-jpeg", 512).x
    predict(qgraph, images[:64])
    begin = time.monotonic()
    predict(qgraph, images, progress=progress)
    return {"reference.images_per_second": len(images) / (time.monotonic() - begin)}


def layers(progress: Report, count: int = LAYERS) -> dict[str, Any]:
    """Random layers against torch's and ONNX Runtime's quantized kernels."""
    checked = mismatches = 0
    for seed in range(count // 50):
        found = check_layers(50, seed)
        checked, mismatches = checked + found[0], mismatches + found[1]
        progress(checked, count, "layer")
    return {"layers.checked": checked, "layers.mismatches": mismatches}


def layers_quick(progress: Report) -> dict[str, Any]:
    """A part of the layers: whether they differ, not how many there are."""
    found = layers(progress, LAYERS_QUICK)
    return {"layers.mismatches": found["layers.mismatches"]}


def networks(progress: Report) -> dict[str, Any]:
    """ResNet-20 and ResNet-8 on the RTL: every layer of every image, every cycle."""
    checked = mismatches = 0
    for name in ("resnet20", "resnet8"):
        images = test_images(name, "cifar10-jpeg", IMAGES)
        for scheme, machine in MACHINES.items():
            qgraph = quantized(name, scheme, "cifar10-jpeg")
            program = compile_graph(qgraph, load_architecture(machine))
            result = verify(qgraph, program, images.x, progress)
            mismatches += result.failures
            checked += 1
    return {
        "networks.checked": checked,
        "networks.images": IMAGES,
        "networks.mismatches": mismatches,
    }


def accuracy(progress: Report) -> dict[str, Any]:
    """Top-1 points lost against the float network on the same images."""
    found = measure(SCHEMES, report=lambda label: progress(0, None, label))
    return {key: value for key, value in found.items() if key.endswith(".loss")}
