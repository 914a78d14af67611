"""The growing program: instructions, weight and parameter images."""

from collections.abc import Sequence

import numpy as np

from compiler.nest import Level, Vector, Walk, walk_instructions
from compiler.settings import setting_key
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile
from quant.errors import NoMulError
from rtl.architecture import Architecture
from rtl.isa import ADDRESS, COORDINATE, SHIFT, VERSION, Nest, Opcode, Path, encode
from rtl.packing import pack, unpack

__all__ = ["Emitter", "pack_parameters", "unpack_parameters"]


def pack_parameters(bits: int, bias: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Parameter words of blocks: for each lane the bias modulo ``2**bits``, then the shift.

    Parameters
    ----------
    bits : int
        Width of an accumulator.
    bias, shift : int [blocks, lanes]

    Returns
    -------
    uint32 [blocks, pieces]
    """
    fields = np.asarray(bias, np.int64) & ((1 << bits) - 1) | np.asarray(shift, np.int64) << bits
    return pack(fields, bits + SHIFT.width)


def unpack_parameters(bits: int, words: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of :func:`pack_parameters`: signed bias and shift: int64 ``[blocks, lanes]``."""
    fields = unpack(words, bits + SHIFT.width, lanes)
    bias = fields & ((1 << bits) - 1)
    return bias - (bias >> bits - 1 << bits), fields >> bits


class Emitter:
    """Instructions and images; a setting that already has its value is not written again.

    Parameters
    ----------
    architecture : Architecture
    tensors : dict of name to PlacedTensor
    limits : dict of name to (low, high), optional
        The codes that a tensor can have, for machines whose codes split.

    Attributes
    ----------
    carried : int64 [blocks, lanes]
        What the sums of the last convolution have too much, for one that continues them.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: dict[str, PlacedTensor],
        limits: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self.architecture = architecture
        self.tensors = tensors
        self.limits = limits or {}
        self.instructions: list[int] = []
        self.runs = 0
        self.work: dict[int, tuple[int, int]] = {}
        self.owner = 0
        self.name = "input"
        self.used = {"weight_words": 0, "parameter_words": 0, "instruction_words": 0}
        self.overflow: dict[str, str] = {}
        self.weights: list[np.ndarray] = []
        self.parameters: list[np.ndarray] = []
        self.written: dict[tuple[int, ...], int] = {}
        self.carried: np.ndarray = np.zeros((1, 1), np.int64)
        self.shifts: dict[int, int] = {}
        self.append(Opcode.CHECK, self.check(0))

    def check(self, length: int) -> dict[str, int]:
        """Fields of ``CHECK`` for a program of so many instructions, where the machine asks."""
        fingerprint = self.architecture.fingerprint
        return {"version": VERSION, "fingerprint": fingerprint, "length": length}

    def begin(self, name: str, owner: int) -> None:
        """What follows belongs to this layer."""
        self.name = name
        self.owner = owner

    def append(self, opcode: Opcode, fields: dict) -> None:
        """Append an instruction."""
        self.instructions.append(self.word(opcode, fields))
        self.take("instruction_words", 1)

    def word(self, opcode: Opcode, fields: dict) -> int:
        """An encoded instruction. Errors: :class:`NoMulError` for a value that no field holds."""
        try:
            return encode(opcode, **fields)
        except ValueError as error:
            raise NoMulError(
                f"layer {self.name} is too large for the instruction set: {error}; "
                f"use a smaller network"
            ) from None

    def take(self, memory: str, words: int) -> int:
        """Take words of a memory; the first of them."""
        first = self.used[memory]
        self.used[memory] += words
        if self.used[memory] > getattr(self.architecture.memory, memory):
            self.overflow.setdefault(memory, self.name)
        return first

    def set(self, opcode: Opcode, **fields) -> None:
        """Write a setting, if it does not have this value already."""
        key = setting_key(opcode, {k: getattr(v, "value", v) for k, v in fields.items()})
        word = self.word(opcode, fields)
        if self.written.get(key) != word:
            self.written[key] = word
            self.append(opcode, fields)

    def walk(self, nest: Nest, walk: Walk) -> None:
        """Set up a nest.

        Padding can put the first activation in front of the memory; its address is taken modulo
        the addresses that an instruction holds.
        """
        address = walk.address % (1 << ADDRESS.width)
        try:
            instructions = walk_instructions(nest, walk, address)
        except ValueError as error:
            raise NoMulError(
                f"layer {self.name}: {error}; the engine's mapping must use fewer loops"
            ) from None
        for opcode, fields in instructions:
            self.set(opcode, **fields)

    def activations(self, walk: Walk, vector: Vector, tensor: PlacedTensor) -> None:
        """Set up the nest of activations, their vectors and the bounds of the tensor they read.

        Errors: :class:`NoMulError` for rows and columns that would wrap, and so come back into the
        map.
        """
        largest = (1 << COORDINATE.width - 1) - 1
        columns = [(level.count, level.column) for level in walk.levels]
        columns += vector.levels(self.architecture.vector_words, self.architecture.groups)
        for what, first, levels in (
            ("rows", walk.row, [(level.count, level.row) for level in walk.levels]),
            ("columns", walk.column, columns),
        ):
            end = first + sum((count - 1) * stride for count, stride in levels)
            if end > largest:
                raise NoMulError(
                    f"layer {self.name} reads {what} up to {end}, padding included, a machine "
                    f"counts to {largest}; use smaller images or less padding"
                )
        _, height, width = tensor.stored
        columns_inside = (width - 1) * tensor.pitch + tensor.layout.blocks
        self.set(Opcode.BOUNDS, rows=height, columns=columns_inside)
        self.set(Opcode.VECTOR, **vars(vector))
        self.walk(Nest.ACTIVATION, walk)

    def outputs(self, tile: Tile, output: PlacedTensor, residual: PlacedTensor | None) -> None:
        """Set up what is behind the accumulators: members, output and residual."""
        last_level, count = tile.tail
        self.set(Opcode.MEMBERS, last_level=last_level, count=count)
        self.walk(Nest.OUTPUT, tile.walk(output))
        if residual is not None:
            self.walk(Nest.RESIDUAL, tile.walk(residual))

    def discard(self, tile: Tile) -> None:
        """The same for sums that only stay in the accumulators: nothing is read or written."""
        self.set(Opcode.MEMBERS, last_level=0, count=0)
        words = Level(tile.members), Level(1), Level(tile.rows * tile.word_columns)
        for nest in (Nest.PARAMETER, Nest.OUTPUT):
            self.walk(nest, Walk((*words, Level(tile.groups))))

    def add_weights(self, words: np.ndarray) -> int:
        """Append weight words; the address of the first."""
        self.weights.append(words)
        return self.take("weight_words", len(words))

    def add_parameters(self, words: np.ndarray) -> int:
        """Append parameter words; the address of the first."""
        self.parameters.append(words)
        return self.take("parameter_words", len(words))

    def shift_parameter(self, shift: int) -> int:
        """Address of the parameters without bias that shift all channels alike."""
        if shift not in self.shifts:
            each = np.ones((1, self.architecture.lanes), np.int64)
            words = pack_parameters(self.architecture.accumulator_bits, 0 * each, shift * each)
            self.shifts[shift] = self.add_parameters(words)
        return self.shifts[shift]

    def run(
        self, path: Path, signed: bool, passes: Sequence[int], work: int, continues: bool = False
    ) -> None:
        """Set the passes' shifts and start a run.

        ``work`` is how much of its layer it does, in any unit: so much do its passes count.
        ``continues``: its sums are added to those of the runs before.
        """
        for index, shift in enumerate(passes):
            self.set(Opcode.PASS, index=index, shift=shift)
        done, rounds = self.work.get(self.owner, (0, 0))
        self.work[self.owner] = done + work, rounds + work * len(passes)
        self.append(
            Opcode.RUN,
            {
                "path": path,
                "signed": int(signed),
                "layer": self.owner,
                "continues": int(continues),
            },
        )
        self.runs += 1

    def passes(self, owner: int) -> float:
        """Mean passes of what a layer's runs do; 0 without runs."""
        work, rounds = self.work.get(owner, (1, 0))
        return rounds / work

    def finish(self) -> None:
        """``HALT``. Errors: :class:`NoMulError` for each memory that is too small."""
        self.append(Opcode.HALT, {})
        for memory, name in self.overflow.items():
            have = getattr(self.architecture.memory, memory)
            raise NoMulError(
                f"{memory.replace('_', ' ')}: the network needs {self.used[memory]}, "
                f"{self.architecture.name} has {have}, and layer {name} is the first that does "
                f"not fit; raise {memory} in the architecture, or use fewer passes or layers"
            )
