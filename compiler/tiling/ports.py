"""Cycles of transfers at a port of external memory, by what has been measured on the RTL."""

from bisect import bisect_right

from compiler.settings import Move
from rtl.architecture import External
from rtl.dma.registers import CHANNELS
from rtl.registers import Region

__all__ = ["Channel", "Machine", "burst_cycles", "transfer_cycles"]

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


def burst_cycles(external: External, beats: float, store: bool = False) -> float:
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
    """Cycles of a transfer of words of so many beats, from its first beat on.

    Weights come in long transfers, which all channels do a part of at the same time, and their
    memory takes a word a cycle.
    """
    row = move.words * beats
    bursts = -(-row // external.burst)
    cycles = bursts * burst_cycles(external, row / bursts, bool(move.store))
    if move.region == Region.WEIGHTS:
        cycles = max(cycles, move.words * CHANNELS)
    return move.rows * cycles


class Machine:
    """What the machine's own accesses leave of the feature memory to the channels.

    A run writes its words, and reads residuals, one a cycle for a part of its time, in which no
    word of a load goes in, and none of a store comes out.
    """

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.runs: list[tuple[float, float, float]] = []  # end, and what is left to loads, stores

    def run(self, start: float, cycles: int, writes: int, reads: int) -> None:
        """A run, which is later than all before."""
        least = 1 / cycles
        loads, stores = (max(1 - words / cycles, least) for words in (writes, reads))
        self.starts.append(start)
        self.runs.append((start + cycles, loads, stores))

    def after(self, begin: float, cycles: float, store: bool) -> float:
        """When a transfer ends that takes so many cycles of an idle machine."""
        at = max(bisect_right(self.starts, begin) - 1, 0)
        for (end, *left), start in zip(self.runs[at:], self.starts[at:]):
            if begin < start:
                if begin + cycles <= start:
                    break
                cycles -= start - begin
                begin = start
            if begin < end:
                share = left[store]
                if begin + cycles / share <= end:
                    return begin + cycles / share
                cycles -= (end - begin) * share
                begin = end
        return begin + cycles


class Channel:
    """A channel's transfers in time.

    Loads ask for their bursts while those before them still come, so only the first of them waits
    for the memory. A store begins when all before it has ended, and all behind it when it has.

    Parameters
    ----------
    external : External
    machine : Machine

    Attributes
    ----------
    given : list of (time, move, cycles)
        All transfers, when each was given and how long it takes at least.
    ends : list of float
        When each has ended, as far as has been asked; the first entry is 0.
    """

    def __init__(self, external: External, machine: Machine) -> None:
        self.external = external
        self.machine = machine
        self.given: list[tuple[float, Move, float]] = []
        self.ends = [0.0]
        self.stored = 0.0

    @property
    def busy(self) -> float:
        """Cycles that all transfers take at least."""
        return sum(cycles for _, _, cycles in self.given)

    def room(self, time: float) -> float:
        """When the next transfer is taken that is offered at a time.

        One moves, one is checked, one is offered, and the queue holds the others.
        """
        pending = self.external.queue + 3
        return max(time, self.end(len(self.given) - pending + 1))

    def move(self, time: float, move: Move, beats: int) -> None:
        """A transfer, given at a time, of words of so many beats."""
        self.given.append((time, move, transfer_cycles(self.external, move, beats)))

    def end(self, count: int) -> float:
        """When so many transfers have ended, if no run begins before that but those known."""
        while len(self.ends) <= count:
            time, move, cycles = self.given[len(self.ends) - 1]
            before, latency = self.ends[-1], self.external.latency
            if move.store:
                begin = max(time + ISSUE, before)
                self.stored = self.moved(move, begin, cycles) + latency + STORE
                self.ends.append(self.stored)
            else:
                first = max(time + ISSUE, self.stored) + latency + LOAD
                self.ends.append(max(self.moved(move, max(first, before), cycles), before + LEAST))
        return self.ends[max(count, 0)]

    def moved(self, move: Move, begin: float, cycles: float) -> float:
        """When the beats have passed that begin to at a time."""
        if move.region != Region.FEATURES:
            return begin + cycles
        return self.machine.after(begin, cycles, bool(move.store))
