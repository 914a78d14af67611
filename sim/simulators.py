"""The program simulator that suits a program's machine."""

from compiler.program import Program
from sim.external import ExternalSimulator
from sim.program import ProgramSimulator
from sim.split import SplitSimulator

__all__ = ["program_simulator"]


def program_simulator(program: Program, batch: int = 8) -> ProgramSimulator:
    """A machine with the program in its memories; ``batch`` images run side by side."""
    architecture = program.architecture
    if architecture.external:
        return ExternalSimulator(program, batch)
    return (SplitSimulator if architecture.splits else ProgramSimulator)(program, batch)
