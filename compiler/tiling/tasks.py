"""A network as tasks: tiles in the order in which the machine works them off."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from compiler.layout import Layout
from compiler.prepare import Prepared, Step, Tensor
from compiler.tensor import PlacedTensor
from compiler.tiling.boxes import Box, TileLayer, boxes, cut, cut_layout
from compiler.tiling.slices import Slice, is_row, may_slice, sliced, slices
from quant.graph import Shape
from quant.quantized import QConv, QUpsample
from rtl.architecture import Architecture

__all__ = ["Choice", "Operand", "Task", "producers", "slices_of", "task_of", "tasks"]


@dataclass(frozen=True)
class Choice:
    """The tiles of a step.

    Parameters
    ----------
    rows, columns, blocks : int
        Of the output, at most.
    weights_stay : bool
        Whether the loop over the map is the inner one.
    joined : bool
        Whether each tile is made just before the tile of the next step that reads it, and never
        leaves the chip.
    slices : int
        Into how many :mod:`~compiler.tiling.slices` of its inputs each is divided, at most.
    """

    rows: int
    columns: int
    blocks: int
    weights_stay: bool
    joined: bool = False
    slices: int = 1


@dataclass(frozen=True)
class Operand:
    """A box of a tensor as a task has it on chip.

    Parameters
    ----------
    tensor : Tensor
    box : Box
    layout : Layout
        Of the box's blocks.
    pitch : int
        Words from a column to the next.
    part : Slice, optional
        What of it the task reads.
    seen : Layout, optional
        Of that part.
    """

    tensor: Tensor
    box: Box
    layout: Layout
    pitch: int
    part: Slice | None = None
    seen: Layout | None = None

    @property
    def shape(self) -> Shape:
        """Channels, rows and columns."""
        return self.layout.channels, self.box.rows, self.box.columns

    @property
    def words(self) -> int:
        """Feature words on chip."""
        return self.box.rows * self.box.columns * self.pitch

    def placed(self, address: int) -> PlacedTensor:
        """What the task reads of the box, which stands at an address."""
        name, fmt, part = self.tensor.name, self.tensor.format, self.part
        if part is None or self.seen is None:
            return PlacedTensor(name, self.shape, fmt, address, self.layout, self.pitch)
        _, rows, columns = (0, 1, 1) if part.row else self.shape
        shape = self.seen.channels, rows, columns
        return PlacedTensor(name, shape, fmt, address + part.first, self.seen, self.pitch)


@dataclass(frozen=True)
class Task:
    """A tile, or a slice of one, which is made by one or several runs.

    Parameters
    ----------
    step : Step
        That it is a part of.
    tile : TileLayer
    inputs : tuple of Operand
    output : Operand
    joined : bool
        Whether its output is the input of the next task and of no other, and stays on chip.
    part : Slice, optional
        Of a tile in slices, which are tasks one behind the other.
    """

    step: Step
    tile: TileLayer
    inputs: tuple[Operand, ...]
    output: Operand
    joined: bool = False
    part: Slice | None = None

    @property
    def shape(self) -> tuple:
        """What the task's mapping hangs on, its addresses apart."""
        layer, box = self.tile.layer, self.output.box
        window = getattr(layer, "window", None)
        return layer.name, box.block, box.blocks, box.rows, box.columns, window, self.part

    @property
    def makes(self) -> bool:
        """Whether it makes its output: all but the last slice of a tile only add to sums."""
        return self.part is None or self.part.last


def tasks(prepared: Prepared, choices: Sequence[Choice], architecture: Architecture) -> list[Task]:
    """All tiles of all steps.

    Errors: as of :func:`~compiler.tiling.boxes.cut`.
    """
    found: list[Task] = []
    before: Step | None = None
    for step, choice in zip(prepared.steps, choices, strict=True):
        if choice.joined:
            before = step
            continue
        for box in in_order(prepared, step, choice):
            task = task_of(prepared, step, box)
            if before:
                (source,) = task.inputs
                found.append(task_of(prepared, before, source.box, joined=True))
            if choice.slices > 1:
                found += slices_of(task, architecture.vector_words, choice.slices)
            else:
                found.append(task)
        before = None
    return found


def in_order(prepared: Prepared, step: Step, choice: Choice) -> Iterator[Box]:
    """Boxes of a step's output in the order of the choice's loops."""
    layer = step.layer
    _, height, width = layer.shape
    blocks = prepared.tensors[layer.name].layout.blocks
    rows, columns = choice.rows, choice.columns
    if isinstance(layer, QUpsample):
        down, across = layer.factor
        rows, columns = (
            -(-n // factor) * factor for n, factor in ((rows, down), (columns, across))
        )
    found = boxes(height, width, blocks, rows, columns, choice.blocks)
    if choice.weights_stay:
        return found
    return iter(sorted(found, key=lambda box: (box.row, box.column, box.block)))


def task_of(prepared: Prepared, step: Step, box: Box, joined: bool = False) -> Task:
    """The task that makes a box."""
    layer = step.layer
    tensors = [prepared.tensors[name] for name in (*layer.inputs, layer.name)]
    shapes = [tensor.unfolding.shape(tensor.shape) for tensor in tensors]
    tile = cut(layer, box, shapes, [tensor.layout for tensor in tensors])
    *inputs, output = (
        operand(prepared, tensor, part) for tensor, part in zip(tensors, (*tile.inputs, box))
    )
    return Task(step, tile, tuple(inputs), output, joined)


def slices_of(task: Task, vector_words: int, count: int) -> list[Task]:
    """The slices of a task's input, of at most so many; the task itself where it has none."""
    layer, source = task.tile.layer, task.inputs[0]
    if not isinstance(layer, QConv) or not may_slice(layer):
        return [task]
    blocks, positions = source.box.blocks, source.box.rows * source.box.columns
    row = is_row(layer, source.shape) and source.pitch == blocks
    parts = slices(blocks * positions if row else blocks, vector_words, count, row)
    if len(parts) < 2:
        return [task]
    found = []
    for part in parts:
        own, seen = sliced(layer, source.layout, part)
        inputs = replace(source, part=part, seen=seen), *task.inputs[1:]
        found.append(replace(task, tile=replace(task.tile, layer=own), inputs=inputs, part=part))
    return found


def operand(prepared: Prepared, tensor: Tensor, box: Box) -> Operand:
    """A box with its own pitch, which is odd where the whole tensor's must be."""
    odd = prepared.resolve(tensor.name)[0] in prepared.odd
    pitch = box.blocks | 1 if odd else box.blocks
    return Operand(tensor, box, cut_layout(tensor.layout, box), pitch)


def producers(prepared: Prepared, tasks: Sequence[Task]) -> list[tuple[int, ...]]:
    """Of each task the tasks that make what it reads."""
    made: dict[str, list[tuple[int, Box, int]]] = {}
    found = []
    for number, task in enumerate(tasks):
        sources = set()
        for operand in task.inputs:
            buffer, block = prepared.resolve(operand.tensor.name)
            for maker, box, offset in made.get(buffer, []):
                if meet(box, offset, operand.box, block):
                    sources.add(maker)
        found.append(tuple(sorted(sources)))
        if task.joined or not task.makes:
            continue
        buffer, block = prepared.resolve(task.output.tensor.name)
        made.setdefault(buffer, []).append((number, task.output.box, block))
    return found


def meet(one: Box, first: int, other: Box, second: int) -> bool:
    """Whether two boxes of tensors, whose blocks begin at these, may have words in common.

    Steps are not looked at: rows and columns between two of a box count as its own.
    """
    (one_row, one_column, one_block), (row, column, block) = one.end, other.end
    return (
        one.row < row
        and other.row < one_row
        and one.column < column
        and other.column < one_column
        and first + one.block < second + block
        and second + other.block < first + one_block
    )
