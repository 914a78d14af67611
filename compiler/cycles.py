"""Exact prediction of a program's cycles, by the rule of ``docs/machine.md``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler import mapping
from compiler.mapping import Timing
from compiler.settings import Run, execute
from rtl.architecture import Architecture
from rtl.isa import Nest, Opcode, Path

__all__ = ["Cycles", "predict", "run_cycles"]

BEGIN = 2
"""Cycle in which the first instruction executes."""
FIRST_WEIGHT = 3
"""From ``RUN`` to the first word of weights that the engine takes."""
FIRST_VECTOR = 6
"""From ``RUN`` to the first vector."""
ENTER = 4
"""From sums to the first cycle that sees them in the queue, if they are finished."""
LEAVE = 1
"""From the start of post-processing of a word to the first cycle that sees its place free."""
POST = 9
"""From the start of post-processing of a member to the end of a run with it."""


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
    positions, reductions, passes, groups = run.counts(Nest.SUM)
    if run.path is Path.ENGINE:
        timing = mapping.find(architecture.engine).timing(architecture.engine_config, run)
        first = max(FIRST_WEIGHT + timing.first, FIRST_VECTOR)
    else:
        vectors = positions * reductions * passes * groups
        timing = Timing(0, vectors, vectors, 0)
        first = FIRST_VECTOR
    shape = (groups, passes * reductions, positions)
    room = architecture.memory.queue_words - architecture.words_under_way - 1
    start = starts(timing, first, shape, architecture.groups)
    entered = arrivals(timing, first, shape)
    if most_waiting(entered, start) > room:
        last = last_start(timing, first, shape, architecture.groups, room)
    else:
        last = int(start[-1])
    return last + architecture.groups - 1 + POST


def arrivals(timing: Timing, first: int, shape: tuple[int, int, int]) -> np.ndarray:
    """First cycle that sees each finished word in the queue, if no vector has to wait for room.

    ``shape`` counts groups of outputs, rounds of reduction, and words of sums of a round.
    """
    groups, rounds, positions = shape
    group, position = np.arange(groups)[:, None], np.arange(positions)
    vector = ((group * rounds + rounds - 1) * positions + position).reshape(-1)
    taken = first + vector // timing.vectors * timing.tile + vector % timing.vectors
    return taken + timing.latency + ENTER


def starts(timing: Timing, first: int, shape: tuple[int, int, int], members: int) -> np.ndarray:
    """Cycle in which post-processing of each finished word starts: one takes ``members`` cycles."""
    ready = arrivals(timing, first, shape)
    before = members * np.arange(len(ready))
    return np.maximum.accumulate(ready - before) + before


def most_waiting(entered: np.ndarray, start: np.ndarray) -> int:
    """Most words that ever stand in the queue."""
    left = np.searchsorted(start + LEAVE, entered, side="right")
    return int((np.arange(1, len(entered) + 1) - left).max())


def last_start(
    timing: Timing, first: int, shape: tuple[int, int, int], members: int, room: int
) -> int:
    """Cycle in which the last word's post-processing starts, vector by vector.

    A vector is taken only while at most ``room`` words stand in the queue.
    """
    groups, rounds, positions = shape
    entered: list[int] = []
    start: list[int] = []
    entering = leaving = 0
    taken = first - 1
    of_tile, tile_start = timing.vectors, first - timing.tile
    for _ in range(groups):
        for step in range(rounds * positions):
            taken += 1
            if of_tile == timing.vectors:
                of_tile = 0
                taken = max(taken, tile_start + timing.tile)
            while True:
                while entering < len(entered) and entered[entering] <= taken:
                    entering += 1
                while leaving < len(start) and start[leaving] + LEAVE <= taken:
                    leaving += 1
                if entering - leaving <= room:
                    break
                taken = start[leaving] + LEAVE
            if of_tile == 0:
                tile_start = taken
            of_tile += 1
            if step >= (rounds - 1) * positions:
                arrival = taken + timing.latency + ENTER
                entered.append(arrival)
                start.append(max(arrival, start[-1] + members if start else 0))
    return start[-1]


def predict(architecture: Architecture, instructions: Sequence[int]) -> Cycles:
    """Cycles of a program, exactly.

    Errors: :class:`~compiler.settings.ProgramError` for a program that a machine would refuse.
    """
    time, free = BEGIN, 0
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
