import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from rtl.faults import fault_kinds, faults_of
from rtl.isa import LAYOUTS, VERSION, Opcode, encode, opcodes
from rtl.registers import Error

FINGERPRINT = 0x1234


def instruction(opcode, **fields):
    """With all other fields 0."""
    names = [name for name, _ in LAYOUTS[opcode]]
    return encode(opcode, **dict.fromkeys(names, 0) | fields)


RIGHT = instruction(Opcode.CHECK, version=VERSION, fingerprint=FINGERPRINT)


def faults(word, first=False, behind_last=False, splits=False, external=False):
    """Names of what is wrong with an instruction."""
    known = opcodes(splits, external)
    found = Signal(len(fault_kinds(splits)))
    m = Module()
    m.d.comb += found.eq(
        faults_of(
            Const(word, 64), Const(first, 1), Const(behind_last, 1), known, FINGERPRINT, splits
        )
    )
    result = []

    async def look(ctx):
        await ctx.delay(1e-9)
        result.append(ctx.get(found))

    simulator = Simulator(m)
    simulator.add_testbench(look)
    simulator.run()
    return {kind for bit, kind in enumerate(fault_kinds(splits)) if result[0] >> bit & 1}


@pytest.mark.parametrize(
    "word, expected",
    [
        (RIGHT, set()),
        (
            instruction(Opcode.CHECK, version=VERSION + 1, fingerprint=FINGERPRINT),
            {Error.WRONG_VERSION},
        ),
        (instruction(Opcode.CHECK, version=VERSION, fingerprint=1), {Error.WRONG_MACHINE}),
        (63, {Error.ILLEGAL_OPCODE}),
        (instruction(Opcode.LOOP, nest=0, level=7), {Error.NO_SUCH_LEVEL}),
        (instruction(Opcode.LOOP, nest=0, level=0), set()),
    ],
)
def test_each_fault(word, expected):
    assert faults(word) == expected


def test_the_first_instruction_is_a_check():
    assert faults(RIGHT, first=True) == set()
    assert faults(instruction(Opcode.HALT), first=True) == {Error.WRONG_VERSION}


def test_a_program_that_fills_the_memory_ends_there():
    assert faults(instruction(Opcode.HALT), behind_last=True) == set()
    assert faults(instruction(Opcode.LOOP), behind_last=True) == {Error.NO_HALT}


def test_what_only_some_machines_know():
    move, widths = instruction(Opcode.MOVE), instruction(Opcode.WIDTHS)
    assert faults(move) == faults(widths) == {Error.ILLEGAL_OPCODE}
    assert faults(move, external=True) == faults(widths, splits=True) == set()
