"""Whole networks on the compiled RTL, through the driver: codes of every layer, and cycles."""

import numpy as np
import pytest

from boards.driver import Driver
from compiler.compile import compile
from compiler.program import Program
from quant.errors import NoMulError
from quant.reference import run_reference
from rtl.accelerator import Accelerator
from rtl.architecture import Architecture, load_architecture
from rtl.design import Design
from rtl.isa import Opcode, encode
from rtl.registers import Control, Register, State
from sim.compiled import CompiledModel
from sim.simulators import program_simulator
from tests.machines import machine as machine_of
from tests.random_networks import random_codes, random_network

SEEDS = 40


# Accumulators hold few positions, so that maps fall into parts; queues are soon full.
SMALL = {
    "feature_words": 4096,
    "weight_words": 50_000,
    "parameter_words": 256,
    "accumulator_words": 16,
    "queue_words": 16,
    "instruction_words": 4096,
}
OTHERS = (
    # Feature words of half a bus word; of two and a half, which take four pieces.
    machine_of(4, 3, 2, "w3", 4, 20, 3, **SMALL),
    machine_of(8, 1, 1, "w3", 10, 28, 4, **SMALL),
    machine_of(8, 2, 4, "w4r", 8, 32, 3, **SMALL),
)


@pytest.fixture(scope="module")
def machine() -> CompiledModel:
    return CompiledModel.build(Design(Accelerator, (load_architecture("tiny"),), "accelerator"))


def compiled(seed: int) -> tuple[Program, dict[str, np.ndarray], np.ndarray]:
    """A random network that fits, its reference tensors, and two images."""
    graph = random_network(seed)
    codes = random_codes(graph, 2, np.random.default_rng(seed))
    return compile(graph, "tiny"), run_reference(graph, codes), codes


@pytest.mark.parametrize("seed", range(SEEDS))
def test_networks_equal_the_reference_in_every_layer_and_cycle(
    machine: CompiledModel, seed: int
) -> None:
    try:
        program, tensors, codes = compiled(seed)
    except NoMulError as error:
        assert "tiny" in str(error)  # does not fit: refused by name, tested elsewhere
        return
    assert_equal_in_every_layer(machine, program, tensors, codes)


def assert_equal_in_every_layer(
    machine: CompiledModel,
    program: Program,
    tensors: dict[str, np.ndarray],
    codes: np.ndarray,
) -> None:
    """Outputs of the first image, every layer of the second, and the cycles of both."""
    driver = Driver(machine, program)
    output, cycles = driver.run_codes(codes[0])
    np.testing.assert_array_equal(output, tensors[program.output.name][0])
    assert cycles == program.cycles == program_simulator(program, 1).run(codes[:1]).cycles

    def visit(name: str, found: np.ndarray) -> None:
        np.testing.assert_array_equal(found, tensors[name][1], err_msg=name)

    _, cycles = driver.trace(codes[1], visit)
    assert cycles == program.cycles


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.name)
def test_other_machines(other: Architecture) -> None:
    machine = CompiledModel.build(Design(Accelerator, (other,), "accelerator"))
    fitting = 0
    for seed in range(SEEDS):
        graph = random_network(seed, weight_bits=5, bits=other.activation_bits)
        codes = random_codes(graph, 2, np.random.default_rng(seed))
        try:
            program = compile(graph, other)
        except NoMulError:
            continue
        assert_equal_in_every_layer(machine, program, run_reference(graph, codes), codes)
        fitting += 1
    assert fitting >= SEEDS // 2


def test_most_random_networks_fit() -> None:
    fitting = 0
    for seed in range(SEEDS):
        try:
            compile(random_network(seed), "tiny")
            fitting += 1
        except NoMulError:
            pass
    assert fitting >= SEEDS * 3 // 4


def test_a_stop_in_mid_run_leaves_no_trace(machine: CompiledModel) -> None:
    program, tensors, codes = next(compiled_that_fit())
    driver = Driver(machine, program)
    for wait in (3, 50, 173, 400):
        driver.write_input(codes[0])
        driver.go_on(Control.START, stop_after=0)
        machine.tick(wait)
        driver.set(Register.CONTROL, Control.STOP)
        assert driver.get(Register.STATUS) & 0xFF == State.IDLE
        output, cycles = driver.run_codes(codes[1])
        np.testing.assert_array_equal(output, tensors[program.output.name][1])
        assert cycles == program.cycles


def compiled_that_fit():
    """Random networks that fit the machine."""
    for seed in range(SEEDS):
        try:
            yield compiled(seed)
        except NoMulError:
            continue


def test_a_program_for_another_machine_is_refused(machine: CompiledModel) -> None:
    program = compile(random_network(1, layers=1), "zynq7020")
    with pytest.raises(NoMulError, match=r"made for 0x\w+ \(version \d+\); compile it"):
        Driver(machine, program)


def damaged(program: Program, index: int, word: int) -> Program:
    """The program with one other instruction."""
    instructions = program.instructions.copy()
    instructions[index] = word
    return Program(**{**vars(program), "instructions": instructions})


def test_a_damaged_program_stops_with_its_instruction(machine: CompiledModel) -> None:
    program, _, codes = next(compiled_that_fit())
    with pytest.raises(NoMulError, match="ILLEGAL_OPCODE at instruction 2;"):
        Driver(machine, damaged(program, 2, 63)).run_codes(codes[0])


def test_a_program_that_waits_for_ever_is_found_and_stopped(machine: CompiledModel) -> None:
    program, tensors, codes = next(compiled_that_fit())
    runs = [i for i, word in enumerate(program.instructions) if int(word) & 63 == Opcode.RUN.value]
    # An output nest of one more level of 60,000 never gets all its words.
    endless = encode(Opcode.LOOP, nest=5, level=3, last=60000, step=0)
    with pytest.raises(NoMulError, match="it hangs in run 1; the program is damaged"):
        Driver(machine, damaged(program, runs[0] - 1, endless)).run_codes(codes[0])
    output, _ = Driver(machine, program).run_codes(codes[0])
    np.testing.assert_array_equal(output, tensors[program.output.name][0])
