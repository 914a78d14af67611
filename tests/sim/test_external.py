import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from compiler.settings import ProgramError
from quant.reference import run_reference
from rtl.dma.registers import Buffer
from rtl.isa import Opcode, decode, encode
from rtl.registers import Region
from sim.external import ExternalSimulator
from sim.simulators import program_simulator
from tests.external import small_machine
from tests.random_networks import random_codes, random_network

ARCH = small_machine()


@pytest.mark.parametrize("seed", [1, 3, 5, 7, 9, 10, 11, 16, 21, 24, 27, 104])
def test_networks_equal_the_reference(seed):
    graph = random_network(seed)
    program = compile(graph, ARCH)
    codes = random_codes(graph, 2, np.random.default_rng(seed))
    expected = run_reference(graph, codes)
    simulator = program_simulator(program)
    assert isinstance(simulator, ExternalSimulator)
    result = simulator.run(codes)
    assert np.array_equal(result.outputs, expected[graph.output])
    assert result.tensors and result.cycles == program.cycles
    for name, found in result.tensors.items():
        assert np.array_equal(found, expected[name]), name


@pytest.mark.parametrize(
    "opcode, change, message",
    [
        (Opcode.TARGET, {"offset": (1 << 29) - 1}, "leaves buffer"),
        (Opcode.TARGET, {"buffer": 9}, "from or to buffer 9"),
        (Opcode.MOVE, {"address": 1 << 20}, "leaves FEATURES|leaves WEIGHTS|leaves PARAMETERS"),
    ],
)
def test_transfers_that_a_machine_refuses(opcode, change, message):
    graph = random_network(7)
    program = compile(graph, ARCH)
    words = program.instructions.tolist()
    at = next(
        pc
        for pc, word in enumerate(words)
        if decode(word).opcode is opcode
        and decode(word).fields.get("region") != Region.INSTRUCTIONS
        and decode(word).fields.get("buffer") != Buffer.PROGRAM
    )
    words[at] = encode(opcode, **decode(words[at]).fields | change)
    damaged = dataclasses.replace(program, instructions=np.array(words, np.uint64))
    codes = random_codes(graph, 1, np.random.default_rng(0))
    with pytest.raises(ProgramError, match=message):
        ExternalSimulator(damaged).run(codes)
