"""Exact prediction of a program's cycles, by the rule of ``docs/machine.md``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler import mapping
from compiler.mapping import Timing
from compiler.settings import Run, execute
from rtl.architecture import Architecture
from rtl.isa import Nest, Opcode, Path

__all__ = ["BEFORE", "Cycles", "predict", "run_cycles"]

BEFORE = 2
"""From the start of a program to its first instruction."""
FIRST_WEIGHT = 5
"""From ``RUN`` to the first word of weights that the engine takes."""
FIRST_BYPASS = 8
"""From ``RUN`` to the first vector of a run past the engine, which counts as its own sums."""
QUEUE = 4
"""From a finishing word of sums until it counts as waiting; then post-processing may start."""
LEAVE = 1
"""From the start of a word's post-processing until it counts as waiting no more."""


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
        first = FIRST_WEIGHT + timing.first
    else:
        vectors = positions * reductions * passes * groups
        timing = Timing(0, vectors, vectors, 0)
        first = FIRST_BYPASS
    shape = (groups, passes * reductions, positions)
    members = architecture.groups
    waiting = arrivals(timing, first, shape)
    start = starts(waiting, members)
    room = architecture.memory.queue_words - architecture.words_under_way - 1
    if most_waiting(waiting, start) > room:
        last = last_start(timing, first, shape, members, room)
    else:
        last = int(start[-1])
    return last + members + architecture.post_latency


def arrivals(timing: Timing, first: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Cycle from which each finished word waits in the queue, if no vector has to wait for room.

    ``shape`` counts groups of outputs, rounds of reduction, and words of sums of a round.
    """
    groups, rounds, positions = shape
    group, position = np.arange(groups)[:, None], np.arange(positions)
    word = ((group * rounds + rounds - 1) * positions + position).reshape(-1)
    giving = timing.giving
    taken = first + word // len(giving) * timing.tile + giving[word % len(giving)]
    return taken + timing.latency + QUEUE


def starts(waiting: np.ndarray, members: int) -> np.ndarray:
    """Cycle in which post-processing of each finished word starts: one takes ``members`` cycles."""
    before = members * np.arange(len(waiting))
    return np.maximum.accumulate(waiting - before) + before


def most_waiting(waiting: np.ndarray, start: np.ndarray) -> int:
    """Most words that ever wait."""
    left = np.searchsorted(start + LEAVE, waiting, side="right")
    return int((np.arange(1, len(waiting) + 1) - left).max())


def last_start(
    timing: Timing, first: int, shape: tuple[int, int, int], members: int, room: int
) -> int:
    """Cycle in which the last word's post-processing starts, vector by vector.

    A vector is taken only while at most ``room`` words wait.
    """
    groups, rounds, positions = shape
    giving = set(timing.giving.tolist())
    waiting: list[int] = []
    start: list[int] = []
    entered = left = word = vector = 0
    taken, tile_start = first - 1, first - timing.tile
    while word < groups * rounds * positions:
        if vector == timing.vectors:
            vector, taken = 0, max(taken, tile_start + timing.tile - 1)
        taken += 1
        while True:
            while entered < len(waiting) and waiting[entered] <= taken:
                entered += 1
            while left < len(start) and start[left] + LEAVE <= taken:
                left += 1
            if entered - left <= room:
                break
            taken += 1
        if vector == 0:
            tile_start = taken
        if vector in giving:
            if word // positions % rounds == rounds - 1:
                waiting.append(taken + timing.latency + QUEUE)
                start.append(max(waiting[-1], start[-1] + members if start else 0))
            word += 1
        vector += 1
    return start[-1]


def predict(architecture: Architecture, instructions: Sequence[int]) -> Cycles:
    """Cycles of a program, exactly.

    Errors: :class:`~compiler.settings.ProgramError` for a program that a machine would refuse.
    """
    time, free = BEFORE, 0
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
