"""Networks from external memory: ``python -m benchmarks.external [--json FILE] [--large]``.

Cycles and use of the array as the compiler predicts them for ``zynq7020-ddr``: of ResNet-18 layer
by layer; with ``--large`` also of VGG-16's convolutions, of VGG-16 with its classifier, of
ResNet-50 and a MobileNet at 224 x 224, with the time that they take to compile. The weights are
random: cycles hang on shapes alone.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from benchmarks.large_networks import LARGE_NETWORKS, vgg16
from benchmarks.resnet18 import resnet18
from compiler.compile import compile as compile_graph
from compiler.program import LayerRecord, Program
from nomul.output import stage, table
from nomul.verb import Verb
from quant.quantized import QuantizedGraph

__all__ = ["figures", "main"]

MACHINE = "zynq7020-ddr"
DENSE = "fc"
"""Fully connected layers begin with this; their weights take longer to come than to be used."""
NETWORKS: dict[str, Callable[..., QuantizedGraph]] = {
    **LARGE_NETWORKS,
    "vgg16.classifier": partial(vgg16, classifier=True),
}


def busy(program: Program, layers: list[LayerRecord]) -> float:
    """Share of the MAC slots of some layers that do work."""
    work = sum(layer.passes * layer.macs for layer in layers)
    cycles = sum(layer.cycles for layer in layers)
    return work / (cycles * program.architecture.macs_per_cycle)


def figures(program: Program) -> dict[str, Any]:
    """Cycles in all and without fully connected layers, and the share of the slots of each."""
    without = [layer for layer in program.layers if not layer.name.startswith(DENSE)]
    return {
        "cycles": program.cycles,
        "cycles.convolutions": sum(layer.cycles for layer in without),
        "busy": busy(program, list(program.layers)),
        "busy.convolutions": busy(program, without),
    }


def large() -> dict[str, Any]:
    """The same of the large networks, under their names, with the seconds of their compilation."""
    found: dict[str, Any] = {}
    rows = []
    for name, make in NETWORKS.items():
        graph = make("w4r")
        with stage(f"{name} for {MACHINE}"):
            begin = time.monotonic()
            program = compile_graph(graph, MACHINE)
        seconds = time.monotonic() - begin
        numbers = {"seconds": round(seconds, 1), **figures(program)}
        rows.append([name, *numbers.values()])
        found |= {f"{name}.{key}": value for key, value in numbers.items()}
    table(f"Networks at 224 x 224 on {MACHINE}", ["network", *numbers], rows)
    return found


@click.command(cls=Verb)
@click.option("--large", "all_of_them", is_flag=True, help="VGG-16, ResNet-50, MobileNet too.")
def main(all_of_them: bool) -> dict[str, Any]:
    """Predict networks from external memory."""
    with stage(f"ResNet-18 for {MACHINE}"):
        program = compile_graph(resnet18("w4r"), MACHINE)
    rows = [
        [
            layer.name,
            layer.macs or None,
            layer.cycles,
            f"{busy(program, [layer]):.0%}" if layer.macs else None,
        ]
        for layer in program.layers
    ]
    table(f"ResNet-18 at 224 x 224 on {MACHINE}", ["layer", "MACs", "cycles", "busy"], rows)
    found = figures(program)
    shown = [[key, f"{value:,.4g}" if value < 1 else f"{value:,}"] for key, value in found.items()]
    table("Predicted", ["figure", "value"], shown)
    return found | large() if all_of_them else found


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.external")
