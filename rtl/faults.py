"""What an instruction may be refused for."""

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from rtl.isa import LAYOUTS, LEVELS, OPCODE_BITS, VERSION, Nest, Opcode, Operation
from rtl.registers import Error

__all__ = ["fault_kinds", "faults_of", "fields_of"]

FAULTS = (
    Error.WRONG_VERSION,
    Error.ILLEGAL_OPCODE,
    Error.NO_HALT,
    Error.WRONG_MACHINE,
    Error.NO_SUCH_LEVEL,
)
SPLIT_FAULTS = (Error.ILLEGAL_WIDTH, Error.ILLEGAL_OPERATION)
"""What a machine whose codes split refuses besides."""


def fault_kinds(splits: bool) -> tuple[Error, ...]:
    """Errors of instructions; of several the first is told."""
    return (*FAULTS, *SPLIT_FAULTS) if splits else FAULTS


def fields_of(word: Value, known: tuple[Opcode, ...]) -> dict[Opcode, data.View]:
    """An instruction's fields, as each opcode has them."""
    return {
        op: data.View(LAYOUTS[op], word[OPCODE_BITS : OPCODE_BITS + LAYOUTS[op].size])
        for op in known
        if LAYOUTS[op].size
    }


def faults_of(
    word: Value,
    first: Value,
    behind_last: Value,
    known: tuple[Opcode, ...],
    fingerprint: int,
    splits: bool,
) -> Value:
    """What is wrong with an instruction: a bit for each of :func:`fault_kinds`.

    Parameters
    ----------
    word : Value
        The instruction.
    first : Value
        It is the first of its program.
    behind_last : Value
        The one that is fetched behind it would again be the first.
    known : tuple of Opcode
        What the machine knows.
    fingerprint : int
        Of the machine.
    splits : bool
        Whether its codes split.
    """
    opcode, fields = word[:OPCODE_BITS], fields_of(word, known)
    check, loop = fields[Opcode.CHECK], fields[Opcode.LOOP]
    is_check = opcode == Opcode.CHECK.value
    has_level = Cat(
        (loop.nest == nest) & (loop.level < levels) for nest, levels in LEVELS.items()
    ).any()
    no_step = fields[Opcode.STEP].level >= LEVELS[Nest.ACTIVATION]
    no_nest = fields[Opcode.ORIGIN].nest.as_value() >= len(Nest)
    faults = {
        Error.WRONG_VERSION: (first & ~is_check) | (is_check & (check.version != VERSION)),
        Error.ILLEGAL_OPCODE: unknown(opcode, known),
        Error.NO_HALT: behind_last & (opcode != Opcode.HALT.value),
        Error.WRONG_MACHINE: is_check & (check.fingerprint != fingerprint),
        Error.NO_SUCH_LEVEL: ((opcode == Opcode.LOOP.value) & ~has_level)
        | ((opcode == Opcode.STEP.value) & no_step)
        | ((opcode == Opcode.ORIGIN.value) & no_nest),
    }
    if splits:
        widths, rounding = fields[Opcode.WIDTHS], fields[Opcode.REQUANTIZE]
        too_wide = Cat(widths[name] > widths.run for name in ("activation", "residual", "output"))
        is_widths = opcode == Opcode.WIDTHS.value
        no_operation = widths.operation.as_value() > max(op.value for op in Operation)
        no_seed = rounding.stochastic & (rounding.seed == 0)
        faults |= {
            Error.ILLEGAL_WIDTH: is_widths & (too_wide.any() | widths.run.all()),
            Error.ILLEGAL_OPERATION: (is_widths & no_operation)
            | ((opcode == Opcode.REQUANTIZE.value) & no_seed),
        }
    return Cat(faults[error] for error in fault_kinds(splits))


def unknown(opcode: Value, known: tuple[Opcode, ...]) -> Value:
    """Whether the machine does not know an opcode."""
    last = max(op.value for op in known)
    gaps = [code for code in range(last) if Opcode(code) not in known]
    beyond = opcode > last
    return beyond | Cat(opcode == code for code in gaps).any() if gaps else beyond
