"""Runs images through every stage of the chain and compares each with the one before."""

from collections.abc import Iterator

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
from sim.program import ProgramSimulator

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
    simulator = ProgramSimulator(program, BATCH)
    result = Verification(
        rows_of(qgraph, program), len(images), network_error, predicted=program.cycles
    )
    rows = {row.name: row for row in result.rows}
    for start in range(0, len(codes), BATCH):
        part = codes[start : start + BATCH]
        reference = run_reference(qgraph, part)
        check_reference(result, rows, qgraph, reference, start)
        simulated = simulator.run(part)
        result.program_cycles = simulated.cycles
        for index, image in enumerate(part):
            hardware = trace(machine, image)
            for name, row in rows.items():
                made, cycles = hardware[name]
                row.rtl_cycles = cycles
                for stage, expected, found in (
                    ("program", reference[name][index], simulated.tensors[name][index]),
                    ("rtl", simulated.tensors[name][index], made),
                ):
                    for mismatch in compare(stage, name, start + index, expected, found):
                        result.note(row, mismatch)
            result.rtl_cycles = uninterrupted_cycles(machine, image, result.rtl_cycles)
            progress(start + index + 1, len(codes), "image")
    return result
