"""Networks on machines whose codes split: program simulator, and compiled RTL."""

import dataclasses

import numpy as np
import pytest

from compiler.accesses import accesses
from compiler.compile import compile
from compiler.settings import ProgramError
from nomul.engines import simulated_machine
from quant.errors import NoMulError
from quant.reference import run_reference
from rtl.isa import LAYOUTS, OPCODE_BITS, Opcode, encode
from rtl.registers import REGION_SHIFT, Control, Region, State
from sim.simulators import program_simulator
from tests.machines import split_machine
from tests.random_networks import random_codes, random_network
from tests.sim.test_program import assert_equal_at_every_layer

MIXED = (4, 8, 12, 16, 20, 31)

MACHINES = [
    split_machine(),
    split_machine(2, accumulator_words=16, queue_words=32, feature_words=16384),
    split_machine(8, 24),
]


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("bits", [8, 16, 30])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed, bits, index):
    graph = random_network(100 * index + 10 * bits + seed, weight_bits=(8, 3)[seed % 2], bits=bits)
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("seed", range(12))
def test_mixed_widths_and_stochastic_rounding(seed, index):
    graph = random_network(seed, bits=(8, 16, 30)[seed % 3], mixed=MIXED, stochastic=True)
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


MACHINE = split_machine(queue_words=32, feature_words=4096, weight_words=8192)


@pytest.mark.parametrize("bits", [8, 16, 30, 0])
def test_rtl(bits):
    graph = random_network(bits, bits=bits or 8, mixed=() if bits else MIXED, stochastic=True)
    program = compile(graph, MACHINE)
    codes = random_codes(graph, 2, np.random.default_rng(0))
    simulated = simulated_machine(program)
    expected = run_reference(graph, codes)
    for number, image in enumerate(codes):

        def check(name, found, number=number):
            assert np.array_equal(found, expected[name][number]), name

        outputs, cycles = simulated.trace(image, check)
        assert np.array_equal(outputs, expected[graph.output][number])
        assert cycles == program.cycles
        counted = accesses(MACHINE, program.instructions.tolist())
        assert {register: simulated.get(register) for register in counted} == counted
        assert min(counted.values()) > 0 or bits


ILLEGAL = {
    "ILLEGAL_WIDTH": {"run": 0, "activation": 1, "residual": 0, "output": 0, "operation": 0},
    "ILLEGAL_OPERATION": {"run": 2, "activation": 2, "residual": 2, "output": 2, "operation": 0},
}


@pytest.mark.parametrize("name, fields", ILLEGAL.items(), ids=ILLEGAL)
def test_rtl_stops_at_what_is_illegal_and_writes_nothing(name, fields):
    """In front of every run: the program simulator refuses it, the machine leaves its memory."""
    graph = random_network(8, bits=8, stochastic=True)
    program = compile(graph, MACHINE)
    word = encode(Opcode.WIDTHS, **fields)
    if name == "ILLEGAL_OPERATION":
        # No field of the encoder holds it.
        word |= 4 << OPCODE_BITS + LAYOUTS[Opcode.WIDTHS]["operation"].offset
    code = program.instructions.tolist()
    first = next(at for at, each in enumerate(code) if each & 63 == Opcode.RUN.value)
    broken = np.array([*code[:first], word, *code[first:]], np.uint64)
    program = dataclasses.replace(program, instructions=broken)
    image = random_codes(graph, 1, np.random.default_rng(0))
    with pytest.raises(ProgramError, match=rf"instruction {first} \(WIDTHS\): "):
        program_simulator(program).run(image)
    machine = simulated_machine(program)
    before = np.random.default_rng(1).integers(0, 1 << 32, 4 * 4096).astype(np.uint32)
    base = Region.FEATURES << REGION_SHIFT
    machine.transport.write(base, before)
    machine.go_on(Control.START, 0)
    with pytest.raises(NoMulError, match=f"stopped with {name} at instruction {first};"):
        machine.wait(State.HALTED)
    assert np.array_equal(machine.transport.read(base, len(before)), before)
