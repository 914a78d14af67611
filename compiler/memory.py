"""The memory plan: buffers in the feature memory."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Buffer", "Plan", "allocate"]

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


@dataclass(frozen=True)
class Plan:
    """Where buffers stand: the first word of each, and the words that all take together."""

    places: dict[str, int]
    words: int


def allocate(buffers: Iterable[Buffer], memory_words: int) -> Plan:
    """Places for all buffers such that none overlaps another while both are in use.

    Each buffer takes the lowest free place, the largest first. Where that needs more than
    ``memory_words``, seeded random exchanges in that order that do not make the plan larger are
    tried. The plan may still be too large: the caller compares.
    """
    order = sorted(buffers, key=lambda b: (-b.words, b.first, b.name))
    best = place(order)
    source = random.Random(0)
    for _ in range(ATTEMPTS):
        if best.words <= memory_words or len(order) < 2:
            break
        changed = list(order)
        i, j = source.sample(range(len(order)), 2)
        changed[i], changed[j] = changed[j], changed[i]
        candidate = place(changed)
        if candidate.words <= best.words:
            order, best = changed, candidate
    return best


def place(order: list[Buffer]) -> Plan:
    """Each buffer in turn at the lowest place that is free while it is in use."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in order:
        offset = 0
        for start, other in sorted(placed, key=lambda item: item[0]):
            if not buffer.overlaps(other):
                continue
            if offset + buffer.words <= start:
                break
            offset = max(offset, start + other.words)
        placed.append((offset, buffer))
    words = max((offset + buffer.words for offset, buffer in placed), default=0)
    return Plan({buffer.name: offset for offset, buffer in placed}, words)
