"""Operations past the array on a whole machine: programs whose pooling is made another."""

import dataclasses

import numpy as np
import pytest

from compiler.compile import compile as compile_graph
from nomul.engines import simulated_machine
from quant.graph import Window
from rtl.counters import COUNTED
from rtl.isa import LAYOUTS, OPCODE_BITS, Opcode, Operation
from rtl.registers import Register
from rtl.split.parts import PARTS
from sim.simulators import program_simulator
from tests.random_networks import NetworkBuilder, random_codes
from tests.sim.test_split import MACHINE

CHANNELS = 5


def pooling(bits):
    """A program that takes the largest of 2 x 2 codes of ``bits``."""
    net = NetworkBuilder((CHANNELS, 6, 6), np.random.default_rng(bits), bits)
    net.max_pool("input", Window((2, 2), stride=(2, 2)))
    return net.graph()


def with_operation(program, operation):
    """The same program with another operation."""
    layout = LAYOUTS[Opcode.WIDTHS]
    offset = OPCODE_BITS + layout["operation"].offset
    mask = (1 << 3) - 1 << offset
    code = [
        word & ~mask | operation.value << offset
        if word & (1 << OPCODE_BITS) - 1 == Opcode.WIDTHS.value
        else word
        for word in program.instructions.tolist()
    ]
    return dataclasses.replace(program, instructions=np.array(code, np.uint64))


def expected(operation, codes, low, high):
    """Of windows of 2 x 2, row by row."""
    channels, rows, columns = codes.shape
    windows = codes.reshape(channels, rows // 2, 2, columns // 2, 2).transpose(0, 1, 3, 2, 4)
    result, *others = np.moveaxis(windows.reshape(channels, rows // 2, columns // 2, 4), -1, 0)
    for code in others:
        result = {
            Operation.MAXIMUM: np.maximum(result, code),
            Operation.ADD: result + code,
            Operation.SUBTRACT: result - code,
            Operation.COMPARE: np.sign(result - code),
        }[operation]
    return np.clip(result, low, high)


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("bits", [8, 16, 30])
def test_operations(bits, operation):
    graph = pooling(bits)
    program = with_operation(compile_graph(graph, MACHINE), operation)
    (layer,) = graph.layers
    machine = simulated_machine(program)
    for image in random_codes(graph, 2, np.random.default_rng(1)).astype(np.int64):
        wanted = expected(operation, image, layer.low, layer.high)
        assert np.array_equal(program_simulator(program).run(image[None]).outputs[0], wanted)
        found, cycles = machine.run_codes(image)
        assert np.array_equal(found, wanted) and cycles == program.cycles


@pytest.mark.parametrize("bits", [8, 16, 30])
def test_words_of_a_pooling_are_counted(bits):
    """Its program moves no weights and no residuals, and each word of a window once."""
    program = compile_graph(pooling(bits), MACHINE)
    machine = simulated_machine(program)
    machine.run_codes(np.zeros((CHANNELS, 6, 6), np.int64))
    counted = {register: machine.get(register) for register in COUNTED}
    blocks = -(-CHANNELS // (MACHINE.lanes * max(PARTS * 8 // (8 << (bits > 8) + (bits > 16)), 1)))
    made = 9 * blocks
    assert counted == {
        Register.FEATURES_READ: 4 * made,
        Register.WEIGHTS_READ: 0,
        Register.SUMS_ADDED: 4 * made,
        Register.PARAMETERS_READ: made,
        Register.RESIDUALS_READ: 0,
        Register.OUTPUTS_WRITTEN: made,
    }
