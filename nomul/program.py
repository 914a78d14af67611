"""A compiled network for Python: it runs, it verifies itself."""

from pathlib import Path

import numpy as np

from compiler.compile import compile as compile_graph
from compiler.program import Program as MachineProgram
from nomul.engines import ENGINES
from nomul.output import Report
from nomul.verification import Verification
from nomul.verify import verify
from quant.errors import NoMulError
from quant.numbers import dequantize
from quant.quantized import QuantizedGraph
from quant.reference import predict, quantize_input
from rtl.architecture import Architecture

__all__ = ["Program", "compile"]


def silent(done: int, total: int | None, label: str) -> None:
    """Progress that nobody sees."""


class Program:
    """A network compiled for a machine, with the quantized graph that it was compiled from.

    Parameters
    ----------
    qgraph : QuantizedGraph
    machine_program : compiler.program.Program
        What a machine needs.
    """

    def __init__(self, qgraph: QuantizedGraph, machine_program: MachineProgram) -> None:
        self.qgraph = qgraph
        self.machine_program = machine_program

    @property
    def architecture(self) -> Architecture:
        """The machine that it was compiled for."""
        return self.machine_program.architecture

    @property
    def cycles(self) -> int:
        """Predicted cycles of an image."""
        return self.machine_program.cycles

    def run(
        self, images: np.ndarray, engine: str = "reference", progress: Report = silent
    ) -> np.ndarray:
        """What the network returns.

        Parameters
        ----------
        images : float32 (count, channels, height, width)
            Preprocessed as in training.
        engine : str
            ``reference``, ``program`` (the program simulator) or ``rtl``; all return the same.
        progress : function (done, total, label), optional

        Returns
        -------
        float64 (count, outputs)

        Errors: :class:`NoMulError` for an unknown engine, for images that do not fit, and for a
        missing tool.
        """
        if engine == "reference":
            return predict(self.qgraph, images, progress=progress)
        if engine not in ENGINES:
            raise NoMulError(f"no engine is named {engine}; take reference, {', '.join(ENGINES)}")
        codes = quantize_input(self.qgraph, images)
        outputs, _ = ENGINES[engine](self.machine_program, codes, progress)
        fraction = self.qgraph.format_of(self.qgraph.output).fraction
        return dequantize(outputs.reshape(len(outputs), -1), fraction)

    def verify(self, images: np.ndarray, progress: Report = silent) -> Verification:
        """Check every layer of every stage against the stage before it, on these images.

        Errors: :class:`NoMulError` with layer, position, expected and found value of the first
        difference.
        """
        result = verify(self.qgraph, self.machine_program, images, progress)
        result.check()
        return result

    def save(self, path: str | Path) -> None:
        """Write what a machine needs to one file."""
        self.machine_program.save(path)


def compile(qgraph: QuantizedGraph, architecture: Architecture | str | Path) -> Program:
    """Compile a network for a machine, given as an object, by name or as a TOML file.

    Errors: :class:`NoMulError` naming the layer or memory and the remedy where it does not fit.
    """
    return Program(qgraph, compile_graph(qgraph, architecture))
