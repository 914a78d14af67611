"""Exact prediction of a program's cycles, by the rule of ``docs/machine.md``."""

from collections.abc import Sequence
from dataclasses import dataclass

from compiler import mapping
from compiler.settings import Run, execute
from rtl.architecture import Architecture
from rtl.isa import Nest, Opcode, Path

__all__ = ["Cycles", "predict", "run_cycles"]

FIRST_BYPASS_SUM = 4
AFTER_LAST_SUM = 9
TURNAROUND = 3


@dataclass(frozen=True)
class Cycles:
    """Cycles of a program.

    Parameters
    ----------
    total : int
        From the start to the end of ``HALT``.
    layers : dict of int to int
        Of each layer: from its first ``RUN``, the first layer's from the start, to the first of the
        next layer, or ``HALT``. What the counter of a machine that pauses there says; they and the
        cycle of ``HALT`` add up to the total.
    """

    total: int
    layers: dict[int, int]


def run_cycles(architecture: Architecture, run: Run) -> int:
    """``D``: cycles from a ``RUN`` until its last word is written."""
    if run.path is Path.ENGINE:
        last_sum = mapping.find(architecture.engine).last_sum(architecture.engine_config, run)
    else:
        positions, reductions, passes, groups = run.counts(Nest.SUM)
        rounds = reductions * passes
        group = (rounds - 1) * max(positions, TURNAROUND) + positions
        last_sum = FIRST_BYPASS_SUM + groups * group - 1
    return last_sum + AFTER_LAST_SUM


def predict(architecture: Architecture, instructions: Sequence[int]) -> Cycles:
    """Cycles of a program, exactly.

    Errors: :class:`~compiler.settings.ProgramError` for a program that a machine would refuse.
    """
    time, free = 1, 0
    layers: dict[int, int] = {}
    owner, begin = None, 0
    for event in execute(architecture, instructions):
        if isinstance(event, Run):
            time = max(time, free)
            if owner is not None:
                layers[owner] = layers.get(owner, 0) + time - begin
                begin = time
            owner = event.layer
            free = time + run_cycles(architecture, event)
            time += 1
        elif event is not Opcode.HALT:
            time += 1
    end = max(time, free)
    if owner is not None:
        layers[owner] = layers.get(owner, 0) + end - begin
    return Cycles(end + 1, layers)
