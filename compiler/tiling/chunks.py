"""Weights and parameters of tiles: images of the chunks that are fetched."""

from dataclasses import dataclass, field, replace

import numpy as np

from compiler.cycles import run_cycles
from compiler.emit import Emitter
from compiler.lower import Mapper, lower
from compiler.mapping import Convolution, Mapping
from compiler.settings import Run, execute
from compiler.tensor import PlacedTensor
from compiler.tiling.schedule import Chunk
from compiler.tiling.tasks import Task
from rtl.architecture import Architecture
from rtl.dma.registers import MARK_COUNT
from rtl.isa import Opcode
from rtl.registers import Region

__all__ = ["Chunks", "Mapped", "TileEmitter"]


class TileEmitter(Emitter):
    """Instructions of tiles, whose weights and parameters stand where they are fetched to.

    Attributes
    ----------
    places : dict of Region to int
        Where the chunks of the tile stand.
    found : dict of Region to array
        What the tile has put there.
    ended : int, optional
        The layer before, if it ends where the tile's first run starts: that is marked.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, {})
        self.places: dict[Region, int] = {}
        self.found: dict[Region, np.ndarray] = {}
        self.ended: int | None = None

    def append(self, opcode: Opcode, fields: dict) -> None:
        """As of an emitter; marks the end of the layer before behind the run that waits for it."""
        super().append(opcode, fields)
        if opcode is Opcode.RUN:
            self.mark()

    def mark(self) -> None:
        """Mark the end of a layer, if one has ended, and if there is a mark of its number."""
        if self.ended is not None and self.ended < MARK_COUNT:
            super().append(Opcode.MARK, {"index": self.ended})
        self.ended = None

    def take(self, memory: str, words: int) -> int:
        """Nothing is taken for good: memories hold what comes from outside."""
        return 0

    def add_weights(self, words: np.ndarray) -> int:
        """The address of the tile's weights."""
        self.found[Region.WEIGHTS] = words
        return self.places.get(Region.WEIGHTS, 0)

    def add_parameters(self, words: np.ndarray) -> int:
        """The address of the tile's parameters."""
        self.found[Region.PARAMETERS] = words
        return self.places.get(Region.PARAMETERS, 0)

    def shift_parameter(self, shift: int) -> int:
        """As of an emitter, but each tile has its own."""
        self.shifts.clear()
        return super().shift_parameter(shift)

    def tile(self, task: Task, addresses: tuple[int, ...], output: int, mapper) -> None:
        """The runs of a task whose operands stand at these addresses."""
        # An input may be read twice, in two boxes: each has a name of its own.
        names = tuple(f"input {place}" for place in range(len(task.inputs)))
        layer = replace(task.tile.layer, inputs=names)
        self.tensors = {
            name: operand.placed(at)
            for name, operand, at in zip(
                (*names, layer.name), (*task.inputs, task.output), (*addresses, output)
            )
        }
        self.begin(layer.name, task.step.owner)
        part = task.part
        if part is None:
            lower(self, layer, mapper)
        else:
            lower(self, layer, mapper, continues=part.number > 0, ends=part.last)


@dataclass
class Mapped:
    """Mappings of tiles, each shape's made once at the address 0."""

    mapper: Mapper
    kept: dict[tuple, Mapping] = field(default_factory=dict)
    shape: tuple = ()

    def __call__(self, architecture: Architecture, convolution: Convolution) -> Mapping:
        """The mapping of the tile of the shape at hand, at its addresses."""
        tensors = convolution.input, convolution.output, convolution.residual
        if self.shape not in self.kept:
            residual = convolution.residual
            still = replace(
                convolution,
                input=replace(convolution.input, address=0),
                output=replace(convolution.output, address=0),
                residual=None if residual is None else replace(residual, address=0),
            )
            self.kept[self.shape] = self.mapper(architecture, still)
        return moved(self.kept[self.shape], *tensors)


def moved(
    mapping: Mapping, source: PlacedTensor, output: PlacedTensor, residual: PlacedTensor | None
) -> Mapping:
    """A mapping made for the address 0, at those of the tensors."""
    runs = tuple(
        replace(
            run,
            activations=replace(run.activations, address=run.activations.address + source.address),
        )
        for run in mapping.runs
    )
    kept = mapping.residual
    return replace(
        mapping,
        input=replace(mapping.input, address=source.address),
        output=replace(mapping.output, address=output.address),
        residual=None
        if kept is None or residual is None
        else replace(kept, address=residual.address),
        runs=runs,
    )


@dataclass
class Chunks:
    """All chunks of a network, each of whose contents stands once; and cycles of tiles.

    Attributes
    ----------
    images : dict of Region to list of array
        Contents by number.
    cycles : dict of tuple to int
        What the runs of a tile of each shape take.
    carried : array
        Of the task before, as of an emitter.
    """

    images: dict[Region, list[np.ndarray]] = field(
        default_factory=lambda: {Region.WEIGHTS: [], Region.PARAMETERS: []}
    )
    numbers: dict[tuple, int] = field(default_factory=dict)
    shapes: dict[tuple, tuple[Chunk, ...]] = field(default_factory=dict)
    cycles: dict[tuple, int] = field(default_factory=dict)
    left: dict[tuple, np.ndarray] = field(default_factory=dict)
    carried: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))

    def of(self, task: Task, architecture: Architecture, mapper: Mapped) -> tuple[Chunk, ...]:
        """The chunks of a task; tasks in their order."""
        if task.shape not in self.shapes:
            emitter = TileEmitter(architecture)
            emitter.carried = self.carried
            mapper.shape = task.shape
            emitter.tile(task, (0,) * len(task.inputs), 0, mapper)
            emitter.append(Opcode.HALT, {})
            self.cycles[task.shape] = sum(
                run_cycles(architecture, event)
                for event in execute(architecture, emitter.instructions)
                if isinstance(event, Run)
            )
            self.shapes[task.shape] = tuple(
                Chunk(region, self.number(region, words), len(words))
                for region, words in emitter.found.items()
            )
            self.left[task.shape] = emitter.carried
        self.carried = self.left[task.shape]
        return self.shapes[task.shape]

    def number(self, region: Region, words: np.ndarray) -> int:
        """The number of contents."""
        key = region, words.shape, words.tobytes()
        if key not in self.numbers:
            self.numbers[key] = len(self.images[region])
            self.images[region].append(words)
        return self.numbers[key]
