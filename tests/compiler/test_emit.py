import numpy as np
import pytest
from amaranth.lib import data

from compiler.emit import Emitter, pack_parameters, unpack_parameters
from compiler.layout import Layout
from compiler.nest import Level, Vector, Walk
from compiler.tensor import PlacedTensor
from quant.errors import NoMulError
from quant.numbers import Format
from rtl.architecture import load_architecture
from rtl.isa import Nest, Opcode, decode
from rtl.post import parameter_word

TINY = load_architecture("tiny")


@pytest.mark.parametrize("bits", [16, 22, 27, 32])
def test_parameters_are_the_hardware_s(bits):
    bias = np.array([[-1, 5], [-(1 << bits - 1), (1 << bits - 1) - 1]])
    shift = np.array([[31, 0], [7, 19]])
    words = pack_parameters(bits, bias, shift)
    fields = parameter_word(bits, 2)
    for block, pieces in enumerate(words.tolist()):
        word = sum(piece << 32 * k for k, piece in enumerate(pieces))
        channels = data.Const(fields, word)
        for lane in range(2):
            assert channels[lane].bias == bias[block, lane]
            assert channels[lane].shift == shift[block, lane]
    back = unpack_parameters(bits, words, 2)
    assert [part.tolist() for part in back] == [bias.tolist(), shift.tolist()]


def test_bias_counts_modulo_the_accumulator():
    words = pack_parameters(16, np.array([[70000]]), np.array([[0]]))
    bias, _ = unpack_parameters(16, words, 1)
    assert bias.tolist() == [[70000 - 65536]]


def test_parameters_of_a_shift_stand_once():
    emitter = Emitter(TINY, {})
    assert [emitter.shift_parameter(shift) for shift in (3, 0, 3)] == [0, 1, 0]
    bias, shift = unpack_parameters(32, np.concatenate(emitter.parameters), TINY.lanes)
    assert not bias.any()
    assert shift.tolist() == [[3] * 8, [0] * 8]


def test_only_changes_are_written():
    emitter = Emitter(TINY, {})
    for _ in range(2):
        emitter.walk(Nest.OUTPUT, Walk((Level(4, 1),), 10))
    assert len(emitter.instructions) == 1 + 5
    emitter.walk(Nest.OUTPUT, Walk((Level(4, 1),), 11))
    assert decode(emitter.instructions[-1]).opcode is Opcode.ORIGIN
    assert len(emitter.instructions) == 7


def test_an_address_in_front_of_the_memory():
    emitter = Emitter(TINY, {})
    emitter.walk(Nest.ACTIVATION, Walk((Level(1),), -7, -1, -1))
    assert decode(emitter.instructions[1]).fields["address"] == (1 << 24) - 7


def test_bounds_are_the_tensor_s_own_words():
    emitter = Emitter(TINY, {})
    layout = Layout.default(16, 8)
    tensor = PlacedTensor("x", (16, 4, 6), Format(8, True, 0), 3, layout, 5)
    emitter.activations(Walk((Level(1),), 3), Vector(5, 1, 0), tensor)
    fields = {decode(word).opcode: decode(word).fields for word in emitter.instructions}
    # Behind the last column's blocks stand words of other tensors.
    assert fields[Opcode.BOUNDS] == {"rows": 4, "columns": 5 * 5 + 2}
    assert fields[Opcode.VECTOR] == {"word_step": 5, "group_step": 1, "group_shift": 0}


def test_values_beyond_the_instruction_set():
    emitter = Emitter(TINY, {})
    emitter.begin("wide", 0)
    with pytest.raises(
        NoMulError, match="layer wide is too large for the instruction set: LOOP last"
    ):
        emitter.walk(Nest.OUTPUT, Walk((Level(70000, 1),)))


@pytest.mark.parametrize("memory", ["weight_words", "parameter_words", "instruction_words"])
def test_overflow_names_memory_and_layer(memory):
    emitter = Emitter(TINY, {})
    emitter.begin("first", 0)
    emitter.take(memory, 10)
    emitter.begin("second", 1)
    emitter.take(memory, 100_000)
    emitter.begin("third", 2)
    emitter.take(memory, 1)
    have = getattr(TINY.memory, memory)
    with pytest.raises(
        NoMulError, match=f"needs 1000.*tiny has {have}, and layer second.*raise {memory}"
    ):
        emitter.finish()
