"""The memory plan: buffers in the two banks of the feature memory."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["Banks", "Buffer", "Plan", "allocate"]

ATTEMPTS = 200


@dataclass(frozen=True)
class Buffer:
    """Words that are in use from one step of the program to another, both included."""

    name: str
    words: int
    first: int
    last: int

    def overlaps(self, other: "Buffer") -> bool:
        """Whether both are in use at once."""
        return self.first <= other.last and other.first <= self.last


class Banks:
    """Which buffers must stand in different banks: groups whose members' banks depend on another.

    >>> banks = Banks()
    >>> banks.separate("a", "b"), banks.separate("b", "c"), banks.separate("a", "c")
    (True, True, False)
    """

    def __init__(self) -> None:
        self.parent: dict[str, tuple[str, int]] = {}

    def find(self, name: str) -> tuple[str, int]:
        """The group of a buffer, named by a member, and whether its bank is the other one."""
        side = 0
        while name in self.parent:
            name, flip = self.parent[name]
            side ^= flip
        return name, side

    def separate(self, a: str, b: str) -> bool:
        """Demand different banks; False, and nothing changed, where earlier demands forbid it."""
        (group_a, side_a), (group_b, side_b) = self.find(a), self.find(b)
        if group_a == group_b:
            return side_a != side_b
        self.parent[group_b] = (group_a, side_a ^ side_b ^ 1)
        return True


@dataclass(frozen=True)
class Plan:
    """Where buffers stand: bank and offset of each, and the words that the fuller bank needs."""

    places: dict[str, tuple[int, int]]
    words: int


def allocate(buffers: Iterable[Buffer], banks: Banks, bank_words: int) -> Plan:
    """Places for all buffers such that none overlaps another while both are in use.

    Groups of buffers are given to the banks in turn, the largest first, each to the side where
    the peak stays lower; in a bank, buffers take the lowest free place, the largest first. Where
    that needs more than ``bank_words``, seeded random changes of sides that do not make the plan
    larger are tried. The plan may still be too large: the caller compares.
    """
    buffers = list(buffers)
    groups: dict[str, list[tuple[Buffer, int]]] = {}
    for buffer in buffers:
        group, side = banks.find(buffer.name)
        groups.setdefault(group, []).append((buffer, side))
    sides = balanced_sides(groups)
    best = place(groups, sides)
    source = random.Random(0)
    for _ in range(ATTEMPTS):
        if best.words <= bank_words or not groups:
            break
        changed = dict(sides)
        for group in source.sample(sorted(groups), min(len(groups), source.randint(1, 3))):
            changed[group] ^= 1
        candidate = place(groups, changed)
        if candidate.words <= best.words:
            sides, best = changed, candidate
    return best


def balanced_sides(groups: dict[str, list[tuple[Buffer, int]]]) -> dict[str, int]:
    """A first side for each group: the one that raises the peak of words in use less."""
    end = 1 + max((b.last for members in groups.values() for b, _ in members), default=0)
    load = np.zeros((2, end), np.int64)
    sides = {}

    def size(group: str) -> int:
        return sum(b.words * (b.last - b.first + 1) for b, _ in groups[group])

    for group in sorted(groups, key=lambda group: (-size(group), group)):
        trials = []
        for flip in (0, 1):
            trial = load.copy()
            for buffer, side in groups[group]:
                trial[side ^ flip, buffer.first : buffer.last + 1] += buffer.words
            trials.append(trial)
        costs = [(int(t.max()), float((t.astype(float) ** 2).sum())) for t in trials]
        sides[group] = int(costs[1] < costs[0])
        load = trials[sides[group]]
    return sides


def place(groups: dict[str, list[tuple[Buffer, int]]], sides: dict[str, int]) -> Plan:
    """Offsets in both banks, largest buffer first, each at the lowest free place."""
    placed: tuple[list[tuple[Buffer, int]], ...] = ([], [])
    members = [(b, side ^ sides[group]) for group in groups for b, side in groups[group]]
    for buffer, bank in sorted(members, key=lambda m: (-m[0].words, m[0].first, m[0].name)):
        offset = 0
        for other, start in sorted(placed[bank], key=lambda item: item[1]):
            if not buffer.overlaps(other):
                continue
            if offset + buffer.words <= start:
                break
            offset = max(offset, start + other.words)
        placed[bank].append((buffer, offset))
    places = {b.name: (bank, offset) for bank in (0, 1) for b, offset in placed[bank]}
    words = max((offset + b.words for bank in placed for b, offset in bank), default=0)
    return Plan(places, words)
