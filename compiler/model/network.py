"""A network on many machines: cycles, layer by layer, on chip or from external memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from compiler.memory import allocate
from compiler.model.compute import Engine, bypass_cycles, engine_cycles
from compiler.model.external import External, Grid, Segment, Tiled, Widths, demand, tiled
from compiler.model.work import Work, Workload, workload
from quant.quantized import QuantizedGraph
from rtl.architecture import Architecture
from rtl.isa import SHIFT

__all__ = ["Needs", "NetworkModel", "own_grid"]

ANY_MEMORY = 1 << 62
BEFORE_RUNS = 40
"""Cycles before a program's first run, nearly: instructions that set it up."""


@dataclass(frozen=True)
class Needs:
    """Words of memories that a network takes where it is all on chip."""

    feature_words: int
    weight_words: int
    parameter_words: int


def own_grid(architecture: Architecture) -> Grid:
    """A grid of one machine: its own memories."""
    memory = architecture.memory
    return Grid(
        *(
            np.array([words])
            for words in (
                memory.accumulator_words,
                memory.queue_words,
                memory.feature_words,
                memory.weight_words,
            )
        )
    )


def widths_of(architecture: Architecture) -> Widths:
    """Bytes of a machine's words."""
    lanes = architecture.lanes
    parameter = lanes * (architecture.accumulator_bits + SHIFT.width)
    return Widths(
        lanes * architecture.activation_bits / 8,
        architecture.engine_config.weight_bits / 8,
        parameter / 8,
    )


class HasSegments(Protocol):
    """What a :class:`~compiler.model.precision.Precision` says."""

    def segments(self, layer: str, channels: int, architecture: Architecture) -> Sequence[Segment]:
        """Passes of a layer's output channels on a machine."""


@dataclass
class NetworkModel:
    """Cycles of a network at a precision.

    What hangs on a machine's geometry alone is kept, so machines that differ in memories or
    formats cost arithmetic only; layers of one shape are looked at once.

    Parameters
    ----------
    graph : QuantizedGraph
        Its weights are not looked at: an outline does.
    precision : Precision, or what else says how many passes output channels take
    """

    graph: QuantizedGraph
    precision: HasSegments
    kept: dict[tuple, Workload] = field(default_factory=dict)
    feature_words: dict[tuple, int] = field(default_factory=dict)

    def workload(self, architecture: Architecture) -> Workload:
        """The network as the machine's engine sees it."""
        key = geometry(architecture)
        if key not in self.kept:
            self.kept[key] = workload(self.graph, architecture)
        return self.kept[key]

    def segments(self, work: Work, architecture: Architecture) -> tuple[Segment, ...]:
        """Passes of a step's output channels; one pass where it is no layer of weights."""
        if not work.macs:
            return (Segment(work.channels, 1),)
        return tuple(self.precision.segments(work.owner, work.channels, architecture))

    def distinct(
        self, architecture: Architecture
    ) -> Iterator[tuple[Work, tuple[Segment, ...], list[int]]]:
        """Each shape with its passes once, and the places of the steps that have it."""
        places: dict[tuple[Work, tuple[Segment, ...]], list[int]] = {}
        for place, work in enumerate(self.workload(architecture).works):
            key = work.shape, self.segments(work, architecture)
            places.setdefault(key, []).append(place)
        for (work, segments), where in places.items():
            yield work, segments, where

    def needs(self, architecture: Architecture) -> Needs:
        """Memories for the whole network on chip, by the fewest words of all its ways."""
        key = geometry(architecture)
        prepared = self.workload(architecture).prepared
        if key not in self.feature_words:
            # The first plan: exchanges, which may find a smaller one, take too long here.
            self.feature_words[key] = allocate(prepared.buffers(), ANY_MEMORY).words
        weights = parameters = 0
        for work, segments, where in self.distinct(architecture):
            if work.ways:
                words = (
                    groups * way.split * architecture.lanes * passes * way.tiles
                    for way in work.ways
                    for groups, passes in (demand(work, way, segments),)
                )
                weights += len(where) * int(np.ceil(min(words)))
                parameters += len(where) * -(-work.channels // work.lanes)
        return Needs(self.feature_words[key], weights, parameters + len(prepared.steps))

    def on_chip(self, architecture: Architecture, grid: Grid) -> np.ndarray:
        """Cycles of each step where everything is on chip: ``[steps, Q]``."""
        engine = Engine.of(architecture)
        result = np.zeros((len(self.workload(architecture).works), grid.shape[0]))
        for work, segments, where in self.distinct(architecture):
            result[where] = resident(engine, work, segments, grid)
        return result

    def from_memory(
        self, architecture: Architecture, grid: Grid, external: External
    ) -> dict[int, Tiled]:
        """The best tiles of each step."""
        engine, widths = Engine.of(architecture), widths_of(architecture)
        result: dict[int, Tiled] = {}
        for work, segments, where in self.distinct(architecture):
            found = tiled(engine, work, segments, grid, widths, external)
            result.update((place, found) for place in where)
        return dict(sorted(result.items()))

    def cycles(
        self, architecture: Architecture, grid: Grid, external: External | None
    ) -> np.ndarray:
        """Cycles of an image: ``[Q, S]``, infinite where a memory is too small.

        Without an external memory everything must be on chip; with one, whatever fits on chip
        stays there.
        """
        needs = self.needs(architecture)
        held = (grid.feature_words >= needs.feature_words) & (
            grid.weight_words >= needs.weight_words
        )
        inside = self.on_chip(architecture, grid).sum(axis=0) + BEFORE_RUNS
        result = np.where(held, inside[:, None], np.inf)
        if external is not None and not held.all():
            engine, widths = Engine.of(architecture), widths_of(architecture)
            outside = np.full(grid.shape, float(BEFORE_RUNS))
            for work, segments, where in self.distinct(architecture):
                found = tiled(engine, work, segments, grid, widths, external)
                outside = outside + len(where) * found.cycles
            result = np.where(held, result, outside)
        return result


def geometry(architecture: Architecture) -> tuple:
    """What a workload hangs on."""
    config = architecture.engine_config
    kernel = getattr(config, "kernel", 0)
    return architecture.engine, config.lanes, config.vector_words, config.groups, kernel


def resident(engine: Engine, work: Work, segments: tuple[Segment, ...], grid: Grid) -> np.ndarray:
    """Cycles of a step whose tensors and weights are on chip: ``[Q]``."""
    rows, columns, blocks = (np.array(size) for size in work.output)
    if not work.ways:
        return np.full(grid.shape[0], float(bypass_cycles(engine, work, rows, columns, blocks)))
    ways = []
    for way in work.ways:
        groups, passes = demand(work, way, segments)
        ways.append(
            engine_cycles(
                *(engine, work, way, passes, groups, rows, columns),
                *(grid.accumulators, grid.queue_words),
            )
        )
    return np.minimum.reduce(ways)
