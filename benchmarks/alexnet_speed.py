"""Cycles of AlexNet's convolutions on the arrays that a ZCU102 holds, shifting and multiplying.

``python -m benchmarks.alexnet_speed`` prints them layer by layer beside the paper's model. Memories
are large enough for all tensors and weights, which those of the part are not; as in the paper's
model, only the arrays and what is behind them take time.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import click

from benchmarks.alexnet import CONVOLUTIONS, alexnet, alexnet_2012
from benchmarks.lone_array import FAMILY, PART, SIZE
from boards.parts import load_part
from boards.synth import synthesize
from compiler.compile import compile as compile_graph
from nomul.output import table
from nomul.verb import Verb
from quant.quantized import QConv, QuantizedGraph
from rtl.architecture import Architecture, load_architecture
from rtl.convolver.multiply import MultiplyArrays
from rtl.convolver.plan import SHIFT_PLANS
from rtl.convolver.shift import ShiftArrays
from rtl.design import Design

__all__ = ["Speed", "arrays_lut", "best", "limit", "main", "paper_cycles", "size_of"]

NETWORKS = {"alexnet": alexnet, "alexnet2012": alexnet_2012}
SHELL = 0.1
"""Share of the look-up tables that is left to everything but the arrays."""
ARRAY_LUT = {"svpe": 7501 / 32, "vpe": 2591 / 16}
"""Look-up tables of an array with its part of the interconnect, which :func:`arrays_lut` checks."""
ARRAY_DSP = {"svpe": 0, "vpe": SIZE**2}
SHAPES = [(lanes, groups) for lanes in (8, 16, 32) for groups in (1, 2, 4)]


@dataclass(frozen=True)
class Speed:
    """Cycles of the convolutions on a machine.

    Parameters
    ----------
    architecture : Architecture
    cycles : dict of layer to int
    """

    architecture: Architecture
    cycles: dict[str, int]

    @property
    def total(self) -> int:
        """Cycles of an image."""
        return sum(self.cycles.values())


def size_of(architecture: Architecture) -> tuple[int, int]:
    """(Pn, Pm): input and output channels of a pass."""
    return architecture.lanes, architecture.engine_config.outputs


def limit(kind: str) -> int:
    """Arrays that the part holds."""
    available = load_part(PART).available
    by_lut = math.floor((1 - SHELL) * available.lut / ARRAY_LUT[kind])
    return min(by_lut, int(available.dsp // ARRAY_DSP[kind])) if ARRAY_DSP[kind] else by_lut


def arrays_lut(kind: str) -> float:
    """Look-up tables of an array, with its part of the interconnect, of the named machine."""
    config = load_architecture(f"{kind}-zcu102").engine_config
    lanes, bits = config.lanes, config.activation_bits
    if kind == "svpe":
        plan = SHIFT_PLANS[config.code_bits]
        design = Design(ShiftArrays, (lanes, SIZE, plan, bits, FAMILY), "output")
    else:
        design = Design(MultiplyArrays, (lanes, SIZE, config.code_bits, bits, FAMILY), "output")
    return synthesize(design, load_part(PART)).total.lut / lanes


@cache
def graph(network: str) -> QuantizedGraph:
    """The network."""
    return NETWORKS[network]()


def machines(kind: str) -> Iterator[Architecture]:
    """The machine named for the board with all sizes that fit."""
    named = load_architecture(f"{kind}-zcu102")
    for lanes, groups in SHAPES:
        config = dataclasses.replace(named.engine_config, lanes=lanes, groups=groups)
        if lanes * config.outputs <= limit(kind):
            yield dataclasses.replace(named, engine_config=config)


def speed(architecture: Architecture, network: str) -> Speed:
    """Exact cycles of a network's convolutions."""
    program = compile_graph(graph(network), architecture)
    named = {layer.name: layer.cycles for layer in program.layers}
    return Speed(architecture, {name: named[name] for name in CONVOLUTIONS})


def best(kind: str, network: str) -> Speed:
    """The fastest machine of a kind that the part holds."""
    found = (speed(architecture, network) for architecture in machines(kind))
    return min(found, key=lambda found: found.total)


def paper_cycles(network: str, inputs: int, outputs: int) -> dict[str, int]:
    """The paper's model: ``H * W * (M / Pm) * (N / Pn)`` of each convolution, rounded up.

    It has arrays as large as each kernel, and no rows or columns besides the output's.
    """
    found = {}
    for layer in graph(network).layers:
        if isinstance(layer, QConv):
            channels, height, width = layer.shape
            each = -(-layer.weight.shape[1] // inputs)
            groups = layer.groups * -(-channels // layer.groups // outputs)
            found[layer.name] = height * width * each * groups
    return found


PAPER_SIZES = {"svpe": (8, 32), "vpe": (4, 16)}


@click.command(cls=Verb)
def main() -> dict[str, Any]:
    """Cycles of AlexNet's convolutions, layer by layer, beside the paper's model."""
    found: dict[str, Any] = {}
    for network in NETWORKS:
        columns = {}
        for kind, sizes in PAPER_SIZES.items():
            exact = best(kind, network)
            own = size_of(exact.architecture)
            columns[f"{kind} {own}"] = exact.cycles
            columns[f"{kind} {own}, model"] = paper_cycles(network, *own)
            columns[f"{kind} {sizes}, model"] = paper_cycles(network, *sizes)
        rows = [[name, *(cycles[name] for cycles in columns.values())] for name in CONVOLUTIONS]
        rows.append(["all", *(sum(cycles.values()) for cycles in columns.values())])
        table(f"{network}: cycles of an image", ["layer", *columns], rows)
        found[network] = columns
    return found


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.alexnet_speed")
