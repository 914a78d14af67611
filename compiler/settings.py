"""The architectural state that instructions write: what a run works with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

from compiler.nest import Vector, sequence, strides
from quant.errors import NoMulError
from rtl.architecture import Architecture
from rtl.isa import (
    COORDINATE,
    LEVELS,
    VERSION,
    Instruction,
    Nest,
    Opcode,
    Operation,
    Path,
    Waited,
    decode,
    opcodes,
)
from rtl.split.parts import Width

__all__ = [
    "Event",
    "Move",
    "ProgramError",
    "Run",
    "Settings",
    "Wait",
    "decode_fields",
    "encode_fields",
    "execute",
]

SELECTORS = ("nest", "level", "index", "upper")
"""Fields that say which setting an instruction writes."""


class ProgramError(NoMulError):
    """A program that a machine would refuse, or whose result is not defined.

    ``fault`` says where and what; the remedy is always the same.
    """

    def __init__(self, fault: str) -> None:
        super().__init__(f"{fault}; compile the network again")


def setting_key(opcode: Opcode, fields: dict[str, int]) -> tuple[int, ...]:
    """What names the setting that an instruction writes."""
    return (opcode.value, *(int(fields[name]) for name in SELECTORS if name in fields))


def encode_fields(layout: data.StructLayout, fields: dict[str, int]) -> int:
    """The integer of a layout's fields.

    Errors: ``ValueError`` for other fields than the layout's, or a value that does not fit.
    """
    if set(fields) != {name for name, _ in layout}:
        raise ValueError(f"settings {sorted(fields)} are not {[name for name, _ in layout]}")
    word = 0
    for name, field in layout:
        width = Shape.cast(field.shape).width
        if not 0 <= fields[name] < 1 << width:
            raise ValueError(f"{name} is {fields[name]}, outside 0 .. {(1 << width) - 1}")
        word |= fields[name] << field.offset
    return word


def decode_fields(layout: data.StructLayout, word: int) -> dict[str, int]:
    """The inverse of :func:`encode_fields`."""
    return {
        name: word >> field.offset & (1 << Shape.cast(field.shape).width) - 1
        for name, field in layout
    }


class Settings:
    """Settings as instructions have written them; they keep their values from run to run.

    A machine has 0 where no instruction of the program has written; a run that needs such a
    setting is an error here, because no compiler leaves it to chance.
    """

    def __init__(self) -> None:
        self.written: dict[tuple[int, ...], dict[str, int]] = {}

    def write(self, instruction: Instruction) -> None:
        """Execute an instruction that writes a setting.

        Errors: ``ValueError`` for a nest, a level, a width or an operation that does not exist.
        """
        fields = instruction.fields
        check_split(instruction)
        nest = fields.get("nest", Nest.ACTIVATION.value)
        if nest not in [known.value for known in Nest]:
            raise ValueError(f"there is no nest {nest}")
        if "level" in fields and fields["level"] >= LEVELS[Nest(nest)]:
            raise ValueError(f"{Nest(nest).name} has no level {fields['level']}")
        self.written[setting_key(instruction.opcode, fields)] = fields

    def get(self, opcode: Opcode, *selectors: int) -> dict[str, int]:
        """The fields of a setting. Errors: :class:`ProgramError` if it was never written."""
        try:
            return self.written[(opcode.value, *selectors)]
        except KeyError:
            what = " ".join(str(part) for part in (opcode.name, *selectors))
            raise ProgramError(f"a run needs the setting {what}, which nothing wrote") from None


@dataclass(frozen=True)
class Run:
    """One ``RUN`` with the settings as they stand.

    Parameters
    ----------
    pc : int
        Address of the instruction.
    fields : dict
        Its own fields.
    settings : Settings
    """

    pc: int
    fields: dict[str, int]
    settings: Settings

    @property
    def layer(self) -> int:
        """The layer that the run works for."""
        return self.fields["layer"]

    @property
    def path(self) -> Path:
        """What makes the sums."""
        return Path(self.fields["path"])

    def counts(self, nest: Nest) -> list[int]:
        """Iterations of each level."""
        levels = range(LEVELS[nest])
        return [self.settings.get(Opcode.LOOP, nest.value, i)["last"] + 1 for i in levels]

    def words(self, nest: Nest) -> int:
        """Words that the nest walks over."""
        return int(np.prod(self.counts(nest), dtype=np.int64))

    def origin(self, nest: Nest) -> dict[str, int]:
        """First address, row and column."""
        return self.settings.get(Opcode.ORIGIN, nest.value)

    def addresses(self, nest: Nest, words: int) -> np.ndarray:
        """All addresses of a nest, modulo ``words``."""
        counts = self.counts(nest)
        levels = range(LEVELS[nest])
        step = [self.settings.get(Opcode.LOOP, nest.value, i)["step"] for i in levels]
        return sequence(self.origin(nest)["address"], counts, strides(counts, step)) % words

    def coordinates(self, name: str) -> np.ndarray:
        """``row`` or ``column`` of every activation word, modulo the width of a coordinate."""
        counts = self.counts(Nest.ACTIVATION)
        step = [self.settings.get(Opcode.STEP, i)[name] for i in range(len(counts))]
        values = sequence(self.origin(Nest.ACTIVATION)[name], counts, strides(counts, step))
        half = 1 << COORDINATE.width - 1
        return (values + half) % (2 * half) - half

    def vector(self) -> Vector:
        """Where the words of an activation stand."""
        return Vector(**self.settings.get(Opcode.VECTOR))

    def engine_settings(self, layout: data.StructLayout) -> dict[str, int]:
        """The engine's settings by its layout."""
        return decode_fields(layout, self.settings.get(Opcode.ENGINE)["settings"])


@dataclass(frozen=True)
class Move:
    """One ``MOVE``: fields of it, of ``TARGET`` and of ``SHAPE`` as they stand."""

    channel: int
    store: int
    region: int
    buffer: int
    offset: int
    address: int
    words: int
    rows: int
    memory_stride: int
    address_stride: int


@dataclass(frozen=True)
class Wait:
    """One ``WAIT``."""

    what: Waited
    count: int


Event = Run | Move | Wait | Opcode


def execute(architecture: Architecture, words: Sequence[int]) -> Iterator[Event]:
    """Execute a program's instructions: gives what each does, and the opcode of a setting.

    The settings of a run are those of that moment: use it before asking for the next instruction.
    Ends with ``HALT``. Errors: :class:`ProgramError` naming the instruction where a machine would
    stop with an error.
    """
    settings = Settings()
    known = opcodes(architecture.splits, architecture.external is not None)
    pc = -1
    for pc, word in enumerate(words):
        try:
            instruction = decode(int(word))
        except ValueError:
            raise ProgramError(f"instruction {pc}: {int(word):#x} has no known opcode") from None
        fields, opcode = instruction.fields, instruction.opcode
        if opcode not in known:
            raise ProgramError(f"instruction {pc}: {architecture.name} does not know {opcode.name}")
        if pc == 0 and opcode is not Opcode.CHECK:
            raise ProgramError(f"instruction 0 is {opcode.name}; a program begins with CHECK")
        try:
            if opcode is Opcode.CHECK:
                check(architecture, fields)
            elif opcode is Opcode.RUN:
                if fields["continues"] and not architecture.external:
                    raise ValueError(f"{architecture.name} keeps no sums from run to run")
                yield Run(pc, fields, settings)
                continue
            elif opcode is Opcode.MOVE:
                target, shape = settings.get(Opcode.TARGET), settings.get(Opcode.SHAPE)
                yield Move(**fields, **target, **shape)
                continue
            elif opcode is Opcode.WAIT:
                yield Wait(Waited(fields["what"]), fields["count"])
                continue
            elif opcode not in (Opcode.HALT, Opcode.MARK):
                settings.write(instruction)
        except ValueError as error:
            raise ProgramError(f"instruction {pc} ({opcode.name}): {error}") from None
        yield opcode
        if opcode is Opcode.HALT:
            return
    raise ProgramError(f"instruction {pc} is the last one and no HALT")


def check(architecture: Architecture, fields: dict[str, int]) -> None:
    """What ``CHECK`` compares. Errors: ``ValueError``."""
    if fields["version"] != VERSION:
        raise ValueError(f"instruction set {fields['version']}, the machine has {VERSION}")
    if fields["fingerprint"] != architecture.fingerprint:
        raise ValueError(
            f"the program is for machine {fields['fingerprint']:#010x}, "
            f"{architecture.name} is {architecture.fingerprint:#010x}"
        )


def check_split(instruction: Instruction) -> None:
    """What a machine whose codes split refuses. Errors: ``ValueError``."""
    fields = instruction.fields
    if instruction.opcode is Opcode.WIDTHS:
        wide = max(fields["activation"], fields["residual"], fields["output"])
        if fields["run"] > Width.W32.value or wide > fields["run"]:
            raise ValueError(f"a run of width {fields['run']} has codes of width {wide}")
        if fields["operation"] not in [known.value for known in Operation]:
            raise ValueError(f"there is no operation {fields['operation']}")
    if instruction.opcode is Opcode.REQUANTIZE and fields["stochastic"] and not fields["seed"]:
        raise ValueError("stochastic rounding has no seed")
