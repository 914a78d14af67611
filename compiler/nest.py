"""Loop nests: affine walks through a memory, as the compiler writes and the machine reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtl.isa import LEVELS, Nest, Opcode

__all__ = ["Level", "Vector", "Walk", "sequence", "steps", "strides", "walk_instructions"]


@dataclass(frozen=True)
class Level:
    """One loop: iterations, and what an iteration adds to address, row and column."""

    count: int
    stride: int = 0
    row: int = 0
    column: int = 0


@dataclass(frozen=True)
class Walk:
    """A loop nest, innermost level first: ``address + Σ i[l] * levels[l].stride``.

    Row and column are the coordinate of an activation and stay 0 elsewhere.
    """

    levels: tuple[Level, ...]
    address: int = 0
    row: int = 0
    column: int = 0

    @property
    def words(self) -> int:
        """Words that the walk visits."""
        return int(np.prod([level.count for level in self.levels], dtype=np.int64))


@dataclass(frozen=True)
class Vector:
    """The words of an activation: word j of group p is ``j * word_step + (p >> group_shift) *
    group_step`` behind the nest's."""

    word_step: int = 1
    group_step: int = 0
    group_shift: int = 0

    def levels(self, words: int, groups: int) -> list[tuple[int, int]]:
        """The same as two loops: iterations and stride of the words, and of the groups."""
        return [(words, self.word_step), ((groups - 1 >> self.group_shift) + 1, self.group_step)]

    def offsets(self, words: int, groups: int) -> np.ndarray:
        """All steps: int64 ``[groups, words]``."""
        groups_at = (np.arange(groups) >> self.group_shift) * self.group_step
        return groups_at[:, None] + np.arange(words) * self.word_step


def steps(counts: Sequence[int], strides: Sequence[int]) -> list[int]:
    """What a machine adds when a level advances and the levels below return to their start.

    ``step[l] = stride[l] - Σ_{j<l} (count[j] - 1) * stride[j]``; 0 for a level that never advances.

    >>> steps([3, 2], [1, 10])
    [1, 8]
    """
    result, below = [], 0
    for count, stride in zip(counts, strides):
        result.append(stride - below if count > 1 else 0)
        below += (count - 1) * stride
    return result


def strides(counts: Sequence[int], steps: Sequence[int]) -> list[int]:
    """The inverse of :func:`steps`.

    >>> strides([3, 2], [1, 8])
    [1, 10]
    """
    result, below = [], 0
    for count, step in zip(counts, steps):
        stride = step + below if count > 1 else 0
        result.append(stride)
        below += (count - 1) * stride
    return result


def sequence(first: int, counts: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """All values of a walk in order, innermost level fastest: int64.

    >>> sequence(5, [3, 2], [1, 10]).tolist()
    [5, 6, 7, 15, 16, 17]
    """
    values = np.array([first], np.int64)
    for count, stride in zip(counts, strides):
        values = (np.arange(count, dtype=np.int64)[:, None] * stride + values).reshape(-1)
    return values


def walk_instructions(nest: Nest, walk: Walk, address: int) -> list[tuple[Opcode, dict[str, Any]]]:
    """Instructions that set up a nest; ``address`` is the first one as the machine counts it.

    Errors: ``ValueError`` for more levels than the nest has.
    """
    missing = LEVELS[nest] - len(walk.levels)
    if missing < 0:
        raise ValueError(f"{nest.name} has {LEVELS[nest]} levels, not {len(walk.levels)}")
    levels = [*walk.levels, *[Level(1)] * missing]
    counts = [level.count for level in levels]
    origin: dict[str, Any] = {
        "nest": nest,
        "address": address,
        "row": walk.row,
        "column": walk.column,
    }
    result: list[tuple[Opcode, dict[str, Any]]] = [(Opcode.ORIGIN, origin)]
    for index, step in enumerate(steps(counts, [level.stride for level in levels])):
        loop: dict[str, Any] = {
            "nest": nest,
            "level": index,
            "last": counts[index] - 1,
            "step": step,
        }
        result.append((Opcode.LOOP, loop))
    if nest is Nest.ACTIVATION:
        rows = steps(counts, [level.row for level in levels])
        columns = steps(counts, [level.column for level in levels])
        for index, (row, column) in enumerate(zip(rows, columns)):
            result.append((Opcode.STEP, {"level": index, "row": row, "column": column}))
    return result
