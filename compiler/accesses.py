"""Words that a program moves, from and to each memory: what the counters of a machine say."""

from collections.abc import Sequence

from compiler.settings import Run, execute
from rtl.architecture import Architecture
from rtl.counters import COUNTED
from rtl.isa import Nest, Opcode, Path
from rtl.registers import Register

__all__ = ["accesses", "run_accesses"]


def run_accesses(run: Run) -> dict[Register, int]:
    """Words of a run of a machine that counts them, by register."""
    engine = run.path is Path.ENGINE
    residual = bool(run.settings.get(Opcode.REQUANTIZE)["residual"])
    return {
        Register.FEATURES_READ: run.words(Nest.ACTIVATION),
        Register.WEIGHTS_READ: run.words(Nest.WEIGHT) if engine else 0,
        Register.SUMS_ADDED: run.words(Nest.SUM),
        Register.PARAMETERS_READ: run.words(Nest.PARAMETER),
        Register.RESIDUALS_READ: run.words(Nest.RESIDUAL) if residual else 0,
        Register.OUTPUTS_WRITTEN: run.words(Nest.OUTPUT),
    }


def accesses(architecture: Architecture, instructions: Sequence[int]) -> dict[Register, int]:
    """Words of a whole program, by register.

    Errors: :class:`~compiler.settings.ProgramError` for a program that a machine would refuse.
    """
    total = dict.fromkeys(COUNTED, 0)
    for event in execute(architecture, instructions):
        if isinstance(event, Run):
            for register, words in run_accesses(event).items():
                total[register] += words
    return total
