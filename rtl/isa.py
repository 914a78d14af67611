"""The instruction set: one definition for the hardware, the compiler and the disassembler.

An instruction is a 64-bit word: an opcode in the lowest six bits and the fields of that opcode's
layout above it. All instructions but ``RUN`` and ``HALT`` write settings; ``RUN`` starts one pass
of data through the machine with the settings as they stand, and the next instructions may already
write the settings of the next ``RUN`` while it works.

``docs/machine.md`` says what a machine does with the settings.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

if TYPE_CHECKING:  # type checkers do not follow the metaclass of Amaranth's enumerations
    import enum
else:
    from amaranth.lib import enum

__all__ = [
    "INSTRUCTION_BITS",
    "LAYOUTS",
    "LEVELS",
    "MAX_PASSES",
    "VERSION",
    "Instruction",
    "Nest",
    "Opcode",
    "Operation",
    "Path",
    "Waited",
    "decode",
    "encode",
    "opcodes",
]

VERSION = 5
INSTRUCTION_BITS = 64
OPCODE_BITS = 6
MAX_PASSES = 16


class Opcode(enum.Enum, shape=OPCODE_BITS):  # type: ignore[call-arg]
    """What an instruction does."""

    HALT = 0
    CHECK = 1
    LOOP = 2
    ORIGIN = 3
    STEP = 4
    BOUNDS = 5
    ENGINE = 6
    PASS = 7
    POST = 8
    RANGE = 9
    RUN = 10
    VECTOR = 11
    MEMBERS = 12
    REQUANTIZE = 13
    LIMIT = 14
    WIDTHS = 15
    TARGET = 16
    SHAPE = 17
    MOVE = 18
    WAIT = 19
    MARK = 20


class Nest(enum.Enum, shape=3):  # type: ignore[call-arg]
    """The loop nests of a machine: whose addresses they make."""

    ACTIVATION = 0
    WEIGHT = 1
    SUM = 2
    PARAMETER = 3
    RESIDUAL = 4
    OUTPUT = 5


LEVELS: dict[Nest, int] = {
    Nest.ACTIVATION: 7,
    Nest.WEIGHT: 3,
    Nest.SUM: 4,
    Nest.PARAMETER: 4,
    Nest.RESIDUAL: 4,
    Nest.OUTPUT: 4,
}
"""Loop levels of each nest; level 0 is the innermost.

The levels of ``SUM`` have a meaning: 0 walks the accumulators of one reduction step, 1 counts the
steps, 2 the passes; a word of sums starts an accumulation where levels 1 and 2 are both at their
first iteration and finishes it where both are at their last; level 3 counts output groups. Those
of ``OUTPUT`` too, where the last word of sums of a row or of a run is not full: see ``MEMBERS``.
"""


class Path(enum.Enum, shape=1):  # type: ignore[call-arg]
    """What lies between the activations and the accumulators."""

    ENGINE = 0  # the engine, with weights
    BYPASS = 1  # no weights: maximum over a window, or copy


class Waited(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What ``WAIT`` waits for."""

    CHANNEL_0 = 0  # until the channel has ended `count` transfers
    CHANNEL_1 = 1
    RUNS = 2  # until all runs have ended


class Operation(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What the path BYPASS of a machine that splits makes of the words of a window."""

    MAXIMUM = 0
    ADD = 1
    SUBTRACT = 2  # the first word less all others
    COMPARE = 3  # 1 where the words so far are larger than the next, -1 where smaller, else 0


COUNT = unsigned(16)
ADDRESS = unsigned(24)
ADDRESS_STEP = signed(25)
COORDINATE = signed(13)
VECTOR_STEP = signed(13)
CODE = signed(18)
WIDE_CODE = signed(33)
SHIFT = unsigned(5)
LENGTH = unsigned(18)
TRANSFERS = unsigned(24)

LAYOUTS: dict[Opcode, data.StructLayout] = {
    Opcode.HALT: data.StructLayout({}),
    # Must come first: the instruction set and the machine that the program was made for, and how
    # many instructions it has, which machines with external memory look at.
    Opcode.CHECK: data.StructLayout({"version": 8, "fingerprint": 32, "length": LENGTH}),
    # Iterations minus one of a level, and what is added to the address when the level advances
    # (all levels below it having returned to their first iteration).
    Opcode.LOOP: data.StructLayout({"nest": Nest, "level": 3, "last": COUNT, "step": ADDRESS_STEP}),
    # Address of the first word; row and column of the first activation.
    Opcode.ORIGIN: data.StructLayout(
        {"nest": Nest, "address": ADDRESS, "row": COORDINATE, "column": COORDINATE}
    ),
    # What is added to row and column of the activation when a level advances.
    Opcode.STEP: data.StructLayout({"level": 3, "row": COORDINATE, "column": COORDINATE}),
    # Feature words outside 0 <= row < rows, 0 <= column < columns read as 0, or, on the path
    # BYPASS, count for nothing. Columns are counted in words.
    Opcode.BOUNDS: data.StructLayout({"rows": 12, "columns": 12}),
    # Settings of the engine, in the engine's own layout.
    Opcode.ENGINE: data.StructLayout({"settings": 48}),
    # Sums of this pass are shifted left before they are accumulated.
    Opcode.PASS: data.StructLayout({"index": 4, "shift": 4}),
    # Post-processing; see Range. The residual is shifted left by `residual_left`, and `right`
    # shifts the sum of both once more. `logarithmic`: the code written is the logarithmic one.
    Opcode.POST: data.StructLayout(
        {
            "residual": 1,
            "residual_signed": 1,
            "residual_left": 2,
            "right": 2,
            "logarithmic": 1,
        }
    ),
    # Outputs are saturated to low .. high, which are codes of the machine.
    Opcode.RANGE: data.StructLayout({"low": CODE, "high": CODE}),
    # Start. `signed`: whether activations are two's complement. `layer` is for people. `continues`:
    # sums are added to those that the accumulators hold; of machines with external memory, others
    # do not look at it.
    Opcode.RUN: data.StructLayout({"path": Path, "signed": 1, "layer": 16, "continues": 1}),
    # Word j of the vector of column group p stands at the nest's address, and column,
    # + j * word_step + (p >> group_shift) * group_step.
    Opcode.VECTOR: data.StructLayout(
        {"word_step": VECTOR_STEP, "group_step": VECTOR_STEP, "group_shift": 2}
    ),
    # A word of sums is one feature word a column group, its members. In the last iteration of
    # OUTPUT's level 1 (last_level 0) or 3 (last_level 1) only the first `count` are written.
    Opcode.MEMBERS: data.StructLayout({"last_level": 1, "count": 3}),
    # The next three are those of machines whose codes split, which have neither POST nor RANGE.
    # Post-processing. The residual is shifted left by the channel's shift less `offset`.
    # `stochastic`: rounded with the noise of `seed`, the register's state at the first output.
    Opcode.REQUANTIZE: data.StructLayout(
        {
            "residual": 1,
            "residual_signed": 1,
            "offset": signed(7),
            "stochastic": 1,
            "seed": 32,
        }
    ),
    # Outputs are saturated: `upper` says at which end.
    Opcode.LIMIT: data.StructLayout({"upper": 1, "value": WIDE_CODE}),
    # Codes of rtl.split.parts.Width: that of the run, at least those of the tensors that it reads
    # and writes. `operation`: an Operation of the path BYPASS.
    Opcode.WIDTHS: data.StructLayout(
        {"run": 2, "activation": 2, "residual": 2, "output": 2, "operation": Operation}
    ),
    # The next five are those of machines with external memory. MOVE gives a channel a transfer of
    # `rows` rows of `words` words each: between the buffer from beat `offset` on, rows
    # `memory_stride` beats apart, and the region from word `address` on, rows `address_stride`
    # words apart. `store`: towards external memory. See rtl.dma.transfer.
    Opcode.TARGET: data.StructLayout({"buffer": 4, "offset": 29}),
    Opcode.SHAPE: data.StructLayout({"rows": 16, "memory_stride": 24, "address_stride": 16}),
    Opcode.MOVE: data.StructLayout(
        {"channel": 1, "store": 1, "region": 3, "address": ADDRESS, "words": COUNT}
    ),
    # What follows waits; transfers are counted since the start of the program.
    Opcode.WAIT: data.StructLayout({"what": Waited, "count": TRANSFERS}),
    # Notes the cycles so far, and those of them in which runs waited for transfers, for the host.
    Opcode.MARK: data.StructLayout({"index": 9}),
}

_PLAIN = (Opcode.POST, Opcode.RANGE)
_SPLIT = (Opcode.REQUANTIZE, Opcode.LIMIT, Opcode.WIDTHS)
_EXTERNAL = (Opcode.TARGET, Opcode.SHAPE, Opcode.MOVE, Opcode.WAIT, Opcode.MARK)


def opcodes(splits: bool, external: bool = False) -> tuple[Opcode, ...]:
    """Opcodes that a machine knows.

    ``splits``: whether its codes do; ``external``: whether it reaches external memory.
    """
    missing = (_PLAIN if splits else _SPLIT) + (() if external else _EXTERNAL)
    return tuple(opcode for opcode in Opcode if opcode not in missing)


@dataclass(frozen=True)
class Instruction:
    """A decoded instruction: opcode and field values."""

    opcode: Opcode
    fields: dict[str, int]

    def __str__(self) -> str:
        def show(name: str, value: int) -> str:
            shape = LAYOUTS[self.opcode][name].shape
            if isinstance(shape, type) and issubclass(shape, enum.Enum):
                # Programs that a machine refuses are shown too.
                return {e.value: e.name.lower() for e in shape}.get(value, str(value))
            return f"{value:#x}" if name in ("fingerprint", "settings") else str(value)

        fields = " ".join(f"{name}={show(name, value)}" for name, value in self.fields.items())
        return f"{self.opcode.name.lower():8}{fields}".rstrip()


@cache
def fields_of(opcode: Opcode) -> tuple[tuple[str, int, int, bool], ...]:
    """Name, lowest bit in the word, width and sign of each field."""
    shapes = [(name, field, Shape.cast(field.shape)) for name, field in LAYOUTS[opcode]]
    return tuple(
        (name, OPCODE_BITS + field.offset, shape.width, shape.signed)
        for name, field, shape in shapes
    )


def encode(opcode: Opcode, **fields: int) -> int:
    """The 64-bit word of an instruction.

    Errors: ``ValueError`` for a missing or unknown field or a value out of its range.

    >>> encode(Opcode.PASS, index=1, shift=2) == 7 | 1 << 6 | 2 << 10
    True
    """
    layout = fields_of(opcode)
    names = [name for name, *_ in layout]
    if fields.keys() != set(names):
        raise ValueError(f"{opcode.name} has the fields {names}, not {sorted(fields)}")
    word = opcode.value
    for name, offset, width, is_signed in layout:
        value = int(getattr(fields[name], "value", fields[name]))
        low = -(1 << width - 1) if is_signed else 0
        high = (1 << width - is_signed) - 1
        if not low <= value <= high:
            raise ValueError(f"{opcode.name} {name} is {value}, outside {low} .. {high}")
        word |= value % (1 << width) << offset
    return word


def decode(word: int) -> Instruction:
    """The instruction of a 64-bit word.

    Errors: ``ValueError`` for an opcode that does not exist.

    >>> str(decode(encode(Opcode.RANGE, low=-128, high=127)))
    'range   low=-128 high=127'
    """
    opcode = Opcode(word & (1 << OPCODE_BITS) - 1)
    fields = {}
    for name, offset, width, is_signed in fields_of(opcode):
        value = word >> offset & (1 << width) - 1
        if is_signed and value >> width - 1:
            value -= 1 << width
        fields[name] = value
    return Instruction(opcode, fields)
