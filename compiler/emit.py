"""The growing program: instructions, weight and parameter images."""

from collections.abc import Iterable

import numpy as np

from compiler.nest import Walk, walk_instructions
from compiler.settings import setting_key
from compiler.tensor import PlacedTensor
from quant.errors import NoMulError
from rtl.architecture import Architecture
from rtl.isa import COORDINATE, SHIFT, VERSION, Accumulate, Nest, Opcode, Path, encode
from rtl.packing import pieces

__all__ = ["Emitter", "pack_parameters", "parameter_bits", "unpack_parameters"]


def parameter_bits(bits: int) -> int:
    """Width of a parameter word for accumulators of ``bits``."""
    return bits + 2 * SHIFT.width


def pack_parameters(
    bits: int, bias: np.ndarray, shift: np.ndarray, residual_shift: np.ndarray
) -> np.ndarray:
    """Parameter words: bias modulo ``2**bits``, then shift and residual shift: uint32 pieces."""
    word = np.asarray(bias, np.int64) & ((1 << bits) - 1)
    word |= np.asarray(shift, np.int64) << bits
    word |= np.asarray(residual_shift, np.int64) << bits + SHIFT.width
    halves = np.stack([word & 0xFFFFFFFF, word >> 32], axis=1).astype("<u4")
    return halves[:, : pieces(parameter_bits(bits))]


def unpack_parameters(bits: int, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inverse of :func:`pack_parameters`: bias (signed), shift, residual shift."""
    word = words[:, 0].astype(np.int64)
    if words.shape[1] > 1:
        word |= words[:, 1].astype(np.int64) << 32
    bias = word & ((1 << bits) - 1)
    bias -= (bias >> bits - 1) << bits
    mask = (1 << SHIFT.width) - 1
    return bias, word >> bits & mask, word >> bits + SHIFT.width & mask


class Emitter:
    """Instructions and images; a setting that already has its value is not written again.

    Parameters
    ----------
    architecture : Architecture
    tensors : dict of name to PlacedTensor
    limits : dict of name to (low, high)
        The codes that a tensor can have.
    """

    def __init__(
        self,
        architecture: Architecture,
        tensors: dict[str, PlacedTensor],
        limits: dict[str, tuple[int, int]],
    ) -> None:
        self.architecture = architecture
        self.tensors = tensors
        self.limits = limits
        self.instructions: list[int] = []
        self.runs = 0
        self.passes: dict[int, int] = {}
        self.owner = 0
        self.name = "input"
        self.used = {"weight_words": 0, "parameter_words": 0, "instruction_words": 0}
        self.overflow: dict[str, str] = {}
        self.weights: list[np.ndarray] = []
        self.parameters: list[np.ndarray] = []
        self.written: dict[tuple[int, ...], int] = {}
        self.append(Opcode.CHECK, {"version": VERSION, "fingerprint": architecture.fingerprint})

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

    def walk(self, nest: Nest, walk: Walk, within: PlacedTensor | None = None) -> None:
        """Set up a nest; ``within``, the tensor it reads, says the bank.

        Padding can put the first address outside the tensor, and even outside its bank, which the
        machine takes from the first address: the address is wrapped within the bank.
        """
        self.check_coordinates(walk)
        address = walk.address
        if within is not None:
            bank_words = self.architecture.memory.feature_words
            address = within.address // bank_words * bank_words + address % bank_words
        try:
            instructions = walk_instructions(nest, walk, address)
        except ValueError as error:
            raise NoMulError(
                f"layer {self.name}: {error}; the engine's mapping must use fewer loops"
            ) from None
        for opcode, fields in instructions:
            self.set(opcode, **fields)

    def check_coordinates(self, walk: Walk) -> None:
        """Refuse rows and columns that would wrap, and so come back into the map.

        Errors: :class:`NoMulError`. The first ones are checked by the instruction that holds them.
        """
        largest = (1 << COORDINATE.width - 1) - 1
        for what, first, strides in (
            ("rows", walk.row, [level.row for level in walk.levels]),
            ("columns", walk.column, [level.column for level in walk.levels]),
        ):
            end = first + sum((level.count - 1) * s for level, s in zip(walk.levels, strides))
            if end > largest:
                raise NoMulError(
                    f"layer {self.name} reads {what} up to {end}, padding included, a machine "
                    f"counts to {largest}; use smaller images or less padding"
                )

    def add_weights(self, words: np.ndarray) -> int:
        """Append weight words; the address of the first."""
        self.weights.append(words)
        return self.take("weight_words", len(words))

    def add_parameters(self, words: np.ndarray) -> int:
        """Append parameter words; the address of the first."""
        self.parameters.append(words)
        return self.take("parameter_words", len(words))

    def run(
        self, path: Path, accumulate: Accumulate, signed: bool, passes: Iterable[tuple[int, bool]]
    ) -> None:
        """Set the passes and start a run."""
        count = 0
        for index, (shift, negate) in enumerate(passes):
            self.set(Opcode.PASS, index=index, shift=shift, negate=int(negate))
            count += 1
        self.passes[self.owner] = count
        fields = {
            "path": path,
            "accumulate": accumulate,
            "signed": int(signed),
            "layer": self.owner,
        }
        self.append(Opcode.RUN, fields)
        self.runs += 1

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
