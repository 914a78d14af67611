import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from compiler.settings import ProgramError
from quant.graph import Window
from quant.reference import run_reference
from rtl.dma.registers import Buffer
from rtl.isa import Nest, Opcode, decode, encode
from rtl.registers import Region
from sim.external import ExternalSimulator
from sim.simulators import program_simulator
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_codes, random_network

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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight_bits, words", [(2, 152), (4, 296)])
def test_sums_that_go_on_from_run_to_run(seed, weight_bits, words):
    """Layers whose blocks do not fit the weights, fully connected and not, with a residual."""
    net = NetworkBuilder((20 + 7 * seed, 5, 5), np.random.default_rng(seed), 8, True, weight_bits)
    window = Window((3, 3), (1 + seed % 2,) * 2, (1, 0, 1, 2))
    x = net.conv("input", 17, window)
    x = net.conv(x, 17, Window((3, 3), padding=(1, 1, 1, 1)), residual=x)
    x = net.conv(x, 21 + 8 * seed, Window(net.shapes[x][1:]))
    net.conv(x, 40)
    graph = net.graph()
    program = compile(graph, small_machine(weight_words=words))
    code = map(decode, program.instructions.tolist())
    continued = {w.fields["layer"] for w in code if w.fields.get("continues")}
    assert {0, 1, 2} <= continued
    codes = random_codes(graph, 2, np.random.default_rng(seed))
    expected = run_reference(graph, codes)
    result = ExternalSimulator(program).run(codes)
    for name, found in result.tensors.items():
        assert np.array_equal(found, expected[name]), name


def continued_program():
    net = NetworkBuilder((16, 2, 2), np.random.default_rng(0), weight_bits=2)
    net.conv("input", 9, Window(padding=(0, 0, 0, 0)))
    graph = net.graph()
    return graph, compile(graph, small_machine(weight_words=24))


def edited(program, opcode, condition, **changes):
    words = program.instructions.tolist()
    for at, word in enumerate(words):
        fields = decode(word).fields
        if decode(word).opcode is opcode and condition(fields):
            words[at] = encode(opcode, **fields | changes)
    return dataclasses.replace(program, instructions=np.array(words, np.uint64))


@pytest.mark.parametrize(
    "opcode, condition, changes, message",
    [
        # The first run continues what nothing has made.
        (Opcode.RUN, lambda fields: True, {"continues": 1}, "continues sums that nothing has made"),
        # Two words of a run in one accumulator.
        (
            Opcode.LOOP,
            lambda fields: fields["nest"] == Nest.SUM.value and fields["last"] > 0,
            {"step": 0},
            "share an accumulator",
        ),
    ],
)
def test_sums_that_are_not_there(opcode, condition, changes, message):
    graph, program = continued_program()
    codes = random_codes(graph, 1, np.random.default_rng(0))
    with pytest.raises(ProgramError, match=message):
        ExternalSimulator(edited(program, opcode, condition, **changes)).run(codes)


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
