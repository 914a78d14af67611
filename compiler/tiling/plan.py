"""How each layer is cut into tiles, by the closed-form model of external memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compiler import mapping
from compiler.mapping import Convolution
from compiler.model.compute import Engine, bypass_cycles, engine_cycles
from compiler.model.external import External, Grid, Segment, Tiled, demand, tiled, tiles
from compiler.model.network import NetworkModel, own_grid, widths_of
from compiler.model.work import Work, fewest_steps
from compiler.prepare import Prepared
from compiler.tiling.boxes import Box, divisible
from compiler.tiling.slices import may_slice
from compiler.tiling.tasks import Choice, slices_of, task_of
from quant.errors import NoMulError
from quant.quantized import QConv, QMaxPool, QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["Planner"]

SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2)
"""Of the feature memory: what the tiles of a layer may take, from plenty to little."""
PARTS = (1.0, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.0625)
"""Of the weight memory: what the weights of a tile may take."""
SLICES = (*range(2, 17), 24, 32, 48, 64, 96, 128)
"""Into how many slices the inputs are tried to be divided where no tile fits otherwise."""


@dataclass(frozen=True)
class Passes:
    """Passes of each layer's weights as they are, in the place of a precision."""

    passes: dict[str, int]

    def segments(self, layer: str, channels: int, architecture: Architecture) -> list[Segment]:
        """All channels take the layer's passes."""
        return [Segment(channels, self.passes.get(layer, 1))]


class Planner:
    """The fastest tiles of a network.

    Parameters
    ----------
    graph : QuantizedGraph
    prepared : Prepared
    architecture : Architecture
    external : External
    """

    def __init__(
        self,
        graph: QuantizedGraph,
        prepared: Prepared,
        architecture: Architecture,
        external: External,
    ) -> None:
        self.graph = graph
        self.prepared = prepared
        self.architecture = architecture
        self.external = external
        engine = mapping.find(architecture.engine)
        passes: dict[str, int] = {}
        for step in prepared.steps:
            if isinstance(step.layer, QConv):
                name = graph.layers[step.owner].name
                needed = engine.count_passes(architecture, step.layer.name, step.layer.weight)
                passes[name] = max(needed, passes.get(name, 1))
        self.model = NetworkModel(graph, Passes(passes))
        self.works = self.model.workload(architecture).works
        own = own_grid(architecture)
        shares, parts = (axis.reshape(-1) for axis in np.meshgrid(SHARES, PARTS, indexing="ij"))
        features = (shares * own.feature_words).astype(np.int64)
        chunks = (parts * own.weight_words).astype(np.int64)
        weights = np.repeat(own.weight_words, len(chunks))
        grid = Grid(own.accumulators, own.queue_words, features, weights, chunks)
        self.found = self.model.from_memory(architecture, grid, external)
        for place, known in self.found.items():
            if not np.isfinite(known.cycles).any():
                self.found[place] = self.in_slices(place, grid)

    def in_slices(self, place: int, grid: Grid) -> Tiled:
        """The best tiles of a step of which none fits otherwise."""
        step, work, found = self.prepared.steps[place], self.works[place], self.found[place]
        layer, arch = step.layer, self.architecture
        if not may_slice(layer):
            return found
        engine, widths = mapping.find(arch.engine), widths_of(arch)
        config = arch.engine_config
        # Ways hang on the outputs of one group only.
        rows, columns, blocks = work.output
        one = task_of(self.prepared, step, Box(0, rows, 0, columns, 0, min(blocks, config.groups)))
        for count in SLICES:
            tasks = slices_of(one, arch.vector_words, count)
            if len(tasks) < count:
                break
            own = tasks[0].tile.layer
            assert isinstance(own, QConv)
            source, output = tasks[0].inputs[0].placed(0), one.output.placed(0)
            task = Convolution(own.name, own.weight, own.window, 1, source, output)
            ways = fewest_steps(engine.ways(config, task, False))
            found = found.or_faster(
                tiled(
                    Engine.of(arch),
                    replace(work, ways=ways),
                    self.model.segments(work, arch),
                    grid,
                    widths,
                    self.external,
                    count,
                )
            )
        return found

    def choose(self, shares: Mapping[int, int], apart: Sequence[int] = ()) -> list[Choice]:
        """Tiles of every step.

        Parameters
        ----------
        shares : mapping of int to int
            Steps whose tiles have to be smaller, and the number of their share.
        apart : sequence of int
            Steps that may not be joined to the next.

        Errors: :class:`NoMulError` naming a layer of which no tile fits.
        """
        columns = self.columns([shares.get(place, 0) for place in range(len(self.works))])
        choices = [self.alone(place, column) for place, column in enumerate(columns)]
        for place in range(len(choices) - 1):
            if place not in apart and self.may_join(place):
                both = (place, place + 1)
                cycles = sum(float(self.found[at].cycles[0, columns[at]]) for at in both)
                joined = self.joined(place, cycles)
                if joined:
                    choices[place : place + 2] = joined
        return choices

    def columns(self, shares: Sequence[int]) -> list[int]:
        """The tiles of each step as columns of its table: those with the fewest cycles together.

        Those of a step by themselves, and those in which the step behind it waits for its first
        weights: they come while the last of the step's own are in use, if there is room for both.

        Errors: :class:`NoMulError` naming a layer of which no tile fits.
        """
        words = self.architecture.memory.weight_words
        parts = np.arange(len(PARTS))
        best, ways = np.zeros(1), []
        before: tuple[np.ndarray, np.ndarray] = (np.zeros(1), np.zeros(1))
        for place, share in enumerate(shares):
            known = self.found[place]
            own = share * len(PARTS) + parts
            if share >= len(SHARES) or not np.isfinite(known.cycles[0, own]).any():
                raise NoMulError(
                    f"layer {self.prepared.steps[place].layer.name}: not even its smallest tile "
                    f"fits {self.architecture.name}; raise feature_words or weight_words"
                )
            held, time = before
            chunk, load, cycles = (
                table[0, own] for table in (known.chunk, known.load, known.cycles)
            )
            early = np.where(held[:, None] + chunk <= words, time[:, None], 0)
            total = best[:, None] + np.maximum(load - early, 0) + cycles
            ways.append(total.argmin(axis=0))
            best = total.min(axis=0)
            loads = known.loads[0, own]
            before = chunk * np.minimum(loads, 2), cycles / loads
        found = [int(best.argmin())]
        for way in reversed(ways[1:]):
            found.append(int(way[found[-1]]))
        return [share * len(PARTS) + part for share, part in zip(shares, reversed(found))]

    def alone(self, place: int, column: int) -> Choice:
        """A step by itself."""
        step, found = self.prepared.steps[place], self.found[place]
        blocks = self.prepared.tensors[step.layer.name].layout.blocks
        if divisible(step.layer):
            blocks = int(found.blocks[0, column])
        return Choice(
            int(found.rows[0, column]),
            int(found.columns[0, column]),
            blocks,
            bool(found.weights_stay[0, column]),
            slices=int(found.slices[0, column]),
        )

    def may_join(self, place: int) -> bool:
        """Whether a convolution is read by the maximum behind it alone."""
        layer, reader = (self.prepared.steps[at].layer for at in (place, place + 1))
        if not isinstance(layer, QConv) or not isinstance(reader, QMaxPool):
            return False
        readers = [step for step in self.prepared.steps if layer.name in step.layer.inputs]
        return (
            len(readers) == 1
            and reader.inputs == (layer.name,)
            and divisible(layer)
            and layer.name != self.graph.output
            and self.prepared.resolve(layer.name) == (layer.name, 0)
        )

    def joined(self, place: int, cycles: float) -> tuple[Choice, Choice] | None:
        """Tiles of both that need fewer cycles than ``cycles`` together, if there are some."""
        work, pool = self.works[place], self.works[place + 1]
        engine, widths = Engine.of(self.architecture), widths_of(self.architecture)
        memory = self.architecture.memory
        segments = self.model.segments(work, self.architecture)
        height, width, blocks = pool.output
        rows, columns, _ = tiles(height, width, 1)
        high, wide = (seen(n, pool, axis) for axis, n in enumerate((rows, columns)))
        inputs = seen(high, work, 0) * seen(wide, work, 1) * work.input[2]
        made, outputs = high * wide * blocks, rows * columns * blocks
        count = -(-height // rows) * -(-width // columns)
        best = None
        for way in work.ways:
            groups, passes = demand(work, way, segments)
            weights = groups * engine.lanes * way.split * passes * way.tiles
            compute = engine_cycles(
                *(engine, work, way, passes, np.array(groups), high, wide),
                *(np.array(memory.accumulator_words), np.array(memory.queue_words)),
            ) + bypass_cycles(engine, pool, rows, columns, np.array(blocks))
            fetch = self.external.cycles(inputs * widths.feature, seen(high, work, 0))
            store = self.external.cycles(outputs * widths.feature, rows)
            total = count * np.maximum(compute, fetch + store)
            fits = 2 * inputs + made + 2 * outputs <= 0.95 * memory.feature_words
            total = np.where(fits & (weights <= memory.weight_words), total, np.inf)
            at = int(total.argmin())
            if total[at] < cycles:
                cycles, best = float(total[at]), (int(rows[at]), int(columns[at]))
        if best is None:
            return None
        return (
            Choice(height, width, blocks, True, joined=True),
            Choice(*best, blocks, True),
        )


def seen(outputs: np.ndarray, work: Work, axis: int) -> np.ndarray:
    """Rows or columns that windows at so many neighbouring places see, padding included."""
    window = work.window
    return (
        (outputs - 1) * window.stride[axis] + window.dilation[axis] * (window.kernel[axis] - 1) + 1
    )
