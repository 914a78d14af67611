"""ResNet-18 from external memory: ``python -m benchmarks.external [--json FILE]``.

Cycles and use of the array as the compiler predicts them for ``zynq7020-ddr``, layer by layer. The
weights are random: cycles hang on shapes alone.
"""

from typing import Any

import click

from benchmarks.resnet18 import resnet18
from compiler.compile import compile as compile_graph
from compiler.program import LayerRecord, Program
from nomul.output import stage, table
from nomul.verb import Verb

__all__ = ["figures", "main"]

MACHINE = "zynq7020-ddr"
DENSE = "fc"
"""The fully connected layer, whose weights take longer to come than to be used."""


def busy(program: Program, layers: list[LayerRecord]) -> float:
    """Share of the MAC slots of some layers that do work."""
    work = sum(layer.passes * layer.macs for layer in layers)
    cycles = sum(layer.cycles for layer in layers)
    return work / (cycles * program.architecture.macs_per_cycle)


def figures(program: Program) -> dict[str, Any]:
    """Cycles in all and without the fully connected layer, and the share of the slots of each."""
    without = [layer for layer in program.layers if layer.name != DENSE]
    return {
        "cycles": program.cycles,
        "cycles.convolutions": sum(layer.cycles for layer in without),
        "busy": busy(program, list(program.layers)),
        "busy.convolutions": busy(program, without),
    }


@click.command(cls=Verb)
def main() -> dict[str, Any]:
    """Predict ResNet-18 from external memory."""
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
    return found


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.external")
