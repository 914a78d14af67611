"""The program simulator that suits a program's machine."""

from compiler.program import Program
from sim.program import ProgramSimulator
from sim.split import SplitSimulator

__all__ = ["program_simulator"]


def program_simulator(program: Program, batch: int = 8) -> ProgramSimulator:
    """A machine with the program in its memories; ``batch`` images run side by side."""
    kind = SplitSimulator if program.architecture.splits else ProgramSimulator
    return kind(program, batch)
