"""Cycles of transfers at a port of external memory, by what has been measured on the RTL."""

from compiler.settings import Move
from rtl.architecture import External

__all__ = ["Channel", "burst_cycles"]

ISSUE = 7
"""From a ``MOVE`` until an idle channel begins with it."""
LOAD = 9
"""From the beginning of a load to its end, besides latency and beats."""
STORE = 27
"""From the beginning of a store to its last response, besides latency and beats."""
LEAST = 10
"""Cycles that a load takes at least, behind others."""
READ_GAP, WRITE_GAP = 2, 3
"""From one burst to the next at least."""
PLACE = 2
"""Cycles that a burst keeps its place among those outstanding, besides latency and beats."""


def burst_cycles(external: External, beats: int, store: bool = False) -> float:
    """Cycles from one burst to the next, of so many beats each.

    Its beats take some, and of bursts that are asked for ahead there are only so many::

        max(beats / share, (latency + beats + PLACE) / outstanding, GAP)
    """
    return max(
        beats * 100 / external.percent,
        (external.latency + beats + PLACE) / external.outstanding,
        WRITE_GAP if store else READ_GAP,
    )


def transfer_cycles(external: External, move: Move, beats: int) -> float:
    """Cycles of a transfer of words of so many beats, from its first beat on."""
    row = move.words * beats
    bursts = -(-row // external.burst)
    return move.rows * bursts * burst_cycles(external, row / bursts, bool(move.store))


class Channel:
    """A channel's transfers in time.

    Loads ask for their bursts while those before them still come, so only the first of them waits
    for the memory. A store begins when all before it has ended, and all behind it when it has.

    Parameters
    ----------
    external : External

    Attributes
    ----------
    ends : list of float
        When each transfer has ended; the first entry is 0.
    busy : float
        Cycles in which something moved.
    """

    def __init__(self, external: External) -> None:
        self.external = external
        self.ends = [0.0]
        self.busy = 0.0
        self.stored = 0.0

    def room(self, time: float) -> float:
        """When the next transfer is taken that is offered at a time.

        One moves, one is checked, one is offered, and the queue holds the others.
        """
        pending = self.external.queue + 3
        return max(time, self.ends[-pending]) if len(self.ends) > pending else time

    def move(self, time: float, move: Move, beats: int) -> None:
        """A transfer, given at a time, of words of so many beats."""
        cycles = transfer_cycles(self.external, move, beats)
        self.busy += cycles
        latency = self.external.latency
        if move.store:
            begin = max(time + ISSUE, self.ends[-1])
            self.stored = begin + latency + STORE + cycles
            self.ends.append(self.stored)
        else:
            first = max(time + ISSUE, self.stored) + latency + LOAD
            self.ends.append(max(first + cycles, self.ends[-1] + max(cycles, LEAST)))
