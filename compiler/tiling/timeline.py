"""Cycles of a tiled program: runs exactly, transfers by a model of the external memory."""

from dataclasses import dataclass

import numpy as np

from compiler.cycles import BEFORE, run_cycles
from compiler.settings import Move, Run, Wait, execute
from compiler.tiling.emit import CHANNELS, word_bits
from compiler.tiling.ports import Channel, Machine
from compiler.tiling.transfers import word_beats
from rtl.architecture import Architecture
from rtl.isa import Nest, Opcode, Waited
from rtl.registers import Region

__all__ = ["Timeline", "timeline"]

SEEN = 3
"""From the end of a transfer until a ``WAIT`` for it ends."""


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


def timeline(architecture: Architecture, instructions: list[int]) -> Timeline:
    """Follow a program in time, with the external memory as the architecture says."""
    external = architecture.external
    assert external is not None
    beats = {region: word_beats(bits) for region, bits in word_bits(architecture).items()}
    time, free = float(BEFORE), 0.0
    machine = Machine()
    channels = [Channel(external, machine) for _ in range(CHANNELS)]
    layers: dict[int, float] = {}
    stalls: dict[int, float] = {}
    owner, begin = -1, 0.0
    for event in execute(architecture, instructions):
        if isinstance(event, Move):
            channel = channels[event.channel]
            time = channel.room(time)
            channel.move(time, event, beats[Region(event.region)])
        elif isinstance(event, Wait):
            if event.what is Waited.RUNS:
                reached = free
            else:
                reached = channels[event.what.value].end(event.count) + SEEN
            time = max(time + 1, reached)
        elif isinstance(event, Run):
            time = max(time, free)
            layer = event.layer
            if layer != owner:
                layers[owner] = layers.get(owner, 0) + time - begin
                owner, begin = layer, time
            stalls[layer] = stalls.get(layer, 0) + time - free
            cycles = run_cycles(architecture, event)
            # Also those that write-back leaves out: a load waits for them all the same.
            words = event.words(Nest.OUTPUT)
            residual = event.settings.get(Opcode.POST)["residual"]
            machine.run(time, cycles, words, words * residual)
            free = time + cycles
        time += 1
    total = max(time, free)
    layers[owner] = layers.get(owner, 0) + total - begin
    return Timeline(
        int(np.ceil(total)),
        {layer: int(cycles) for layer, cycles in layers.items()},
        {layer: int(cycles) for layer, cycles in stalls.items()},
        tuple(channel.busy / total for channel in channels),
    )
