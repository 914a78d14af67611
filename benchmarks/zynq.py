"""Figures of the system around a machine: ``python -m benchmarks.zynq [--json FILE]``.

Buses, external memory and driver. With ``--quick`` what takes long is taken from
``benchmarks/results/zynq.json`` and marked.
"""

import dataclasses
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.damage import corrupted_programs, random_programs
from benchmarks.external import DENSE, MACHINE
from benchmarks.figures import Benchmark, Figure, at_least, at_most, equals, free
from benchmarks.resnet18 import resnet18
from benchmarks.ulx3s import routed
from boards.driver import Driver
from boards.parts import load_part
from boards.synth import synthesize
from compiler.compile import compile as compile_graph
from compiler.program import Program
from nomul.blocks import block
from nomul.engines import simulated_machine
from nomul.output import Report
from quant.quantized import QuantizedGraph
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.axi.lite import LiteSlave
from rtl.design import Design
from rtl.dma.engine import Dma
from sim.compiled import CompiledModel
from tests.rtl.axi import test_bridge_proof, test_rules

__all__ = ["ZYNQ", "main"]

PROGRAMS = 1000
ECP5 = "tiny"
PROOFS: tuple[Callable[[], None], ...] = (
    test_rules.test_lite_slave_for_ever,
    test_rules.test_read_master_for_ever,
    test_rules.test_write_master_for_ever,
    test_rules.test_last_beat_bounded,
    test_rules.test_splitter_for_ever,
    test_rules.test_channel_bounded,
    *(partial(test_bridge_proof.test_for_ever, rule) for rule in test_bridge_proof.MUTANTS),
)
"""Functions that raise ``AssertionError`` where a proof fails."""


@cache
def network() -> tuple[QuantizedGraph, Program]:
    """ResNet-18 at 224 x 224 with random weights, and its program."""
    qgraph = resnet18("w4r")
    return qgraph, compile_graph(qgraph, MACHINE)


def prediction(progress: Report) -> dict[str, Any]:
    """What the compiler says of it."""
    progress(0, None, "compile")
    return {"resnet18.predicted": network()[1].cycles}


def whole_network(progress: Report) -> dict[str, Any]:
    """An image through the driver on the RTL, every layer compared with the reference."""
    qgraph, program = network()
    source = np.random.default_rng(0)
    form = qgraph.input_format
    codes = source.integers(form.low, form.high + 1, (1, *qgraph.input_shape))
    progress(0, None, "reference")
    expected = run_reference(qgraph, codes)
    machine = simulated_machine(program, lambda message: progress(0, None, message))
    progress(0, None, "RTL")
    begin = time.monotonic()
    wrong, cycles = differing(machine, codes[0], expected)
    seconds = time.monotonic() - begin
    times = machine.layer_times()
    without = [layer for layer in program.layers if layer.name != DENSE]
    work = sum(layer.passes * layer.macs for layer in without)
    slots = (cycles - times[DENSE].cycles) * program.architecture.macs_per_cycle
    for layer in program.layers:
        if not layer.kept:
            progress(0, None, f"{layer.name} by itself")
            wrong += alone(qgraph, layer.name, codes, expected, progress)
    return {
        "resnet18.cycles": cycles,
        "resnet18.seconds": seconds,
        "resnet18.busy": work / slots,
        "resnet18.mismatches": wrong,
        "prediction.error": abs(program.cycles / cycles - 1),
    }


def differing(machine: Driver, codes: np.ndarray, expected: dict) -> tuple[int, int]:
    """Tensors that differ from the reference's, of those that are kept; cycles.

    Errors: ``AssertionError`` where a port broke a rule or left the buffers.
    """
    wrong = 0

    def visit(name: str, tensor: np.ndarray) -> None:
        nonlocal wrong
        wrong += not np.array_equal(tensor, expected[name][0])

    _, cycles = machine.trace(codes, visit)
    model = machine.transport
    assert isinstance(model, CompiledModel) and model.memory
    if model.memory.escapes or model.memory.violation:
        raise AssertionError(f"{model.memory.first_escape}, {model.memory.violation}")
    return wrong, cycles


def alone(
    qgraph: QuantizedGraph, name: str, codes: np.ndarray, expected: dict, progress: Report
) -> int:
    """The same of the network up to a layer, whose output is then kept."""
    last = next(n for n, layer in enumerate(qgraph.layers) if layer.name == name)
    front = dataclasses.replace(qgraph, layers=qgraph.layers[: last + 1], output=name)
    program = compile_graph(front, MACHINE)
    machine = simulated_machine(program, lambda message: progress(0, None, message))
    return differing(machine, codes[0], expected)[0]


def resources(progress: Report) -> dict[str, Any]:
    """Look-up tables of the machine, and of slave, channels and their registers alone."""
    architecture = load_architecture(MACHINE)
    part = load_part(architecture.part)
    designs = {
        "lite": Design(LiteSlave, (), "slave"),
        "dma": Design(Dma, (architecture.channels,), "dma"),
        "machine": block("machine", architecture, part.family),
    }
    used = {}
    for done, (name, design) in enumerate(designs.items()):
        progress(done, len(designs), name)
        used[name] = synthesize(design, part).total.lut
    return {"dma.lut": used["lite"] + used["dma"], "machine.lut": used["machine"]}


def proofs(progress: Report) -> dict[str, Any]:
    """Proofs of the ports' rules that hold."""
    held = 0
    for done, proof in enumerate(PROOFS):
        progress(done, len(PROOFS), "proof")
        proof()
        held += 1
    return {"proofs": held, "proofs.asked": len(PROOFS)}


def ecp5(progress: Report) -> dict[str, Any]:
    """The bitstream of an open board."""
    found = routed(load_architecture(ECP5), 1, lambda message: progress(0, None, message))
    return {key: found[key] for key in ("ecp5.mhz", "ecp5.bytes")}


RESNET = f"ResNet-18 at 224 x 224 on {MACHINE}, two ports at 70 %"
SMALL = "small machine, RTL, random latency, bandwidth and stalls"
FIGURES = (
    Figure("dma.lut", "<= 6,000", at_most(6000), "slave, channels, registers, Yosys", form=",.0f"),
    Figure("machine.lut", "<= 45,000", at_most(45_000), f"{MACHINE}, Yosys", form=",.0f"),
    Figure("resnet18.predicted", "", free, f"{RESNET}: cycles by the compiler", form=",d"),
    Figure("resnet18.cycles", "", free, f"{RESNET}: cycles on the RTL", form=",d"),
    Figure("prediction.error", "<= 0.03", at_most(0.03), "the one against the other", form=".4f"),
    Figure("resnet18.seconds", "<= 300", at_most(300), f"{RESNET}: RTL, by the driver", form=".0f"),
    Figure(
        "resnet18.busy", ">= 0.75", at_least(0.75), f"MAC slots but in {DENSE}, RTL", form=".3f"
    ),
    Figure("resnet18.mismatches", "0", at_most(0), "layers that differ, RTL", form=",d"),
    Figure("random.programs", "1,000", at_least(PROGRAMS), f"random networks, {SMALL}", form=",d"),
    Figure("random.mismatches", "0", at_most(0), "tensors of them that differ", form=",d"),
    Figure("random.escapes", "0", at_most(0), "that reach beside their buffers", form=",d"),
    Figure("corrupted.programs", "1,000", at_least(PROGRAMS), f"flips, cuts, addresses, {SMALL}"),
    Figure("corrupted.hangs", "0", at_most(0), "of them that do not end", form=",d"),
    Figure("corrupted.escapes", "0", at_most(0), "that reach beside their buffers", form=",d"),
    Figure("corrupted.errors", "", free, "that the machine ends with an error", form=",d"),
    Figure("corrupted.aftermath", "0", at_most(0), "wrong tensors of right ones after", form=",d"),
    Figure("proofs", "all", equals("proofs.asked"), "of the rules of AXI ports", form=",d"),
    Figure("proofs.asked", "", free, "proofs that are tried", form=",d"),
    Figure("ecp5.mhz", ">= 50", at_least(50), f"{ECP5} on a ULX3S-85F, nextpnr", form=".1f"),
    Figure("ecp5.bytes", "> 0", at_least(1), "of its bitstream", form=",d"),
)

SHORT = (("ResNet-18 by the compiler", prediction),)
ZYNQ = Benchmark(
    "zynq",
    "Figures of buses, external memory and driver",
    FIGURES,
    quick=SHORT,
    long=(
        *SHORT,
        ("ResNet-18 on the RTL", whole_network),
        ("Random programs", partial(random_programs, PROGRAMS)),
        ("Corrupted programs", partial(corrupted_programs, PROGRAMS)),
        ("Look-up tables", resources),
        ("Proofs", proofs),
        ("ECP5", ecp5),
    ),
)
main = ZYNQ.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.zynq")
