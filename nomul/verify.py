"""Runs images through every stage of the chain and compares each with the one before."""

import numpy as np

from boards.driver import Driver
from compiler.program import Program
from nomul.engines import BATCH, simulated_machine
from nomul.layers import kind, shape_text
from nomul.oracle import recompute
from nomul.output import Report
from nomul.verification import Row, Verification, compare
from quant.quantized import QuantizedGraph
from quant.reference import quantize_input, run_reference
from rtl.registers import Register
from sim.simulators import program_simulator

__all__ = ["verify"]


def verify(
    qgraph: QuantizedGraph,
    program: Program,
    images: np.ndarray,
    progress: Report,
    network_error: float | None = None,
) -> Verification:
    """Compare reference, program simulator and RTL on every layer of every image.

    Parameters
    ----------
    qgraph : QuantizedGraph
    program : Program
        Compiled from it.
    images : float32 (count, channels, height, width)
    progress : function (done, total, label)
    network_error : float, optional
        What :attr:`Verification.import_error` says.

    Errors: :class:`NoMulError` for images that do not fit and for a missing tool.
    """
    codes = quantize_input(qgraph, images)
    machine = simulated_machine(program, lambda message: progress(0, None, message))
    simulator = program_simulator(program, BATCH)
    result = Verification(
        rows_of(qgraph, program),
        len(images),
        network_error,
        predicted=program.cycles,
        exact=program.architecture.external is None,
    )
    rows = {row.name: row for row in result.rows}
    for start in range(0, len(codes), BATCH):
        part = codes[start : start + BATCH]
        reference = run_reference(qgraph, part)
        check_reference(result, rows, qgraph, reference, start)
        simulated = simulator.run(part)
        result.program_cycles = simulated.cycles
        for index, image in enumerate(part):
            steps, output, cycles = trace(machine, image)
            for name, made, layer_cycles in steps:
                row = rows[name]
                row.rtl_cycles = layer_cycles
                for stage, expected, found in (
                    ("program", reference[name][index], simulated.tensors[name][index]),
                    ("rtl", simulated.tensors[name][index], made),
                ):
                    for mismatch in compare(stage, name, start + index, expected, found):
                        result.note(row, mismatch)
            result.outputs.append(output)
            expected = reference[qgraph.output][index]
            for mismatch in compare("rtl", qgraph.output, start + index, expected, output):
                result.note(rows[qgraph.output], mismatch)
            # The first image whose count is not as predicted stays.
            if result.rtl_cycles in (0, program.cycles):
                result.rtl_cycles = cycles
            progress(start + index + 1, len(codes), "image")
    return result


def rows_of(qgraph: QuantizedGraph, program: Program) -> list[Row]:
    """A row a layer, with what is known before anything runs."""
    slots = program.architecture.macs_per_cycle
    return [
        Row(
            name=layer.name,
            kind=kind(layer),
            shape=shape_text(layer.shape),
            macs=record.macs,
            predicted=record.cycles,
            busy=record.busy(slots) if record.macs else None,
            kept=record.kept,
        )
        for layer, record in zip(qgraph.layers, program.layers, strict=True)
    ]


def check_reference(
    result: Verification,
    rows: dict[str, Row],
    qgraph: QuantizedGraph,
    reference: dict[str, np.ndarray],
    first_image: int,
) -> None:
    """Compare every layer of the reference with torch, on the reference's own inputs."""
    for layer in qgraph.layers:
        expected = recompute(layer, [reference[name] for name in layer.inputs])
        for index, (own, other) in enumerate(zip(reference[layer.name], expected)):
            for mismatch in compare("quantized", layer.name, first_image + index, other, own):
                result.note(rows[layer.name], mismatch)


def trace(
    machine: Driver, codes: np.ndarray
) -> tuple[list[tuple[str, np.ndarray, int]], np.ndarray, int]:
    """Name, tensor and cycles of each layer on the hardware, and output and cycles of the image.

    A machine without external memory is paused after each layer, and runs once more as it is used.
    """
    steps: list[tuple[str, np.ndarray, int]] = []
    if machine.program.architecture.external:
        output, cycles = machine.trace(codes, lambda name, tensor: steps.append((name, tensor, 0)))
        times = machine.layer_times()
        steps = [
            (name, tensor, times[name].cycles if name in times else 0) for name, tensor, _ in steps
        ]
        return steps, output, cycles
    before = 0

    def visit(name: str, tensor: np.ndarray) -> None:
        nonlocal before
        counted = machine.get(Register.CYCLES)
        steps.append((name, tensor, counted - before))
        before = counted

    machine.trace(codes, visit)
    return steps, *machine.run_codes(codes)
