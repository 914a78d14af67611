"""Cycles of a tiled program: runs exactly, transfers by a model of the external memory."""

from dataclasses import dataclass

import numpy as np

from compiler.cycles import BEFORE, run_cycles
from compiler.settings import Run, execute
from compiler.tiling.emit import CHANNELS, Command, Drain, Move, Wait
from compiler.tiling.transfers import Transfer
from rtl.architecture import Architecture

__all__ = ["MemoryModel", "Timeline", "timeline"]


@dataclass(frozen=True)
class MemoryModel:
    """How fast a channel is.

    Parameters
    ----------
    efficiency : float
        Beats a cycle of long transfers.
    burst : int
        Beats of a burst at most; every burst takes ``gap`` cycles at least.
    gap : int
    latency : int
        Cycles from a transfer's start to its end besides its beats; those of loads that follow each
        other overlap.
    queue : int
        Transfers that wait in a channel.
    """

    efficiency: float = 0.7
    burst: int = 16
    gap: int = 4
    latency: int = 50
    queue: int = 8

    def cycles(self, transfer: Transfer, beats: int) -> float:
        """Cycles in which a channel is busy with a transfer of words of so many beats."""
        row = transfer.words * beats
        bursts = -(-row // self.burst)
        return transfer.rows * max(row / self.efficiency, bursts * self.gap)


@dataclass(frozen=True)
class Timeline:
    """What a program's time goes to.

    Parameters
    ----------
    total : int
        Cycles from start to end.
    layers : dict of int to int
        Of each layer, from the start of its first run to that of the next layer's.
    stalls : dict of int to int
        Cycles of them in which no run was under way.
    busy : tuple of float
        Share of the cycles in which each channel moved something.
    """

    total: int
    layers: dict[int, int]
    stalls: dict[int, int]
    busy: tuple[float, ...]


def timeline(
    architecture: Architecture, commands: list[Command], beats: dict, memory: MemoryModel
) -> Timeline:
    """Follow a program in time; ``beats`` of a word of each region."""
    events = execute(architecture, [word for word in commands if isinstance(word, int)])
    time, free = float(BEFORE), 0.0
    ends: list[list[float]] = [[0.0] for _ in range(CHANNELS)]
    moving = [0.0] * CHANNELS
    last_load = [False] * CHANNELS
    layers: dict[int, float] = {}
    stalls: dict[int, float] = {}
    owner, begin = -1, 0.0
    for command in commands:
        if isinstance(command, Move):
            channel, transfer = command.channel, command.transfer
            mine = ends[channel]
            time += 3
            if len(mine) > memory.queue:
                time = max(time, mine[-memory.queue])
            cycles = memory.cycles(transfer, beats[transfer.region])
            follows = last_load[channel] and not transfer.store and mine[-1] > time
            start = max(time, mine[-1])
            mine.append(start + cycles + (0 if follows else memory.latency))
            moving[channel] += cycles
            last_load[channel] = not transfer.store
        elif isinstance(command, Wait):
            time = max(time + 1, ends[command.channel][command.count])
        elif isinstance(command, Drain):
            time = max(time + 1, free)
        else:
            event = next(events)
            if isinstance(event, Run):
                time = max(time, free)
                layer = event.layer
                if layer != owner:
                    layers[owner] = layers.get(owner, 0) + time - begin
                    owner, begin = layer, time
                stalls[layer] = stalls.get(layer, 0) + time - free
                free = time + run_cycles(architecture, event)
            time += 1
    total = max(time, free)
    layers[owner] = layers.get(owner, 0) + total - begin
    return Timeline(
        int(np.ceil(total)),
        {layer: int(cycles) for layer, cycles in layers.items()},
        {layer: int(cycles) for layer, cycles in stalls.items()},
        tuple(cycles / total for cycles in moving),
    )
