import numpy as np
import pytest
from amaranth.lib import data

from compiler.emit import Emitter, pack_parameters, unpack_parameters
from compiler.layout import Layout
from compiler.nest import Level, Walk
from compiler.tensor import PlacedTensor
from quant.errors import NoMulError
from quant.numbers import Format
from rtl.architecture import load_architecture
from rtl.isa import Nest, Opcode, decode
from rtl.post import parameter_word

TINY = load_architecture("tiny")


@pytest.mark.parametrize("bits", [16, 22, 23, 32])
def test_parameters_are_the_hardware_s(bits):
    bias, shift, residual_shift = (
        np.array([-1, 5, -(1 << bits - 1)]),
        np.array([31, 0, 7]),
        [0, 31, 9],
    )
    words = pack_parameters(bits, bias, shift, residual_shift)
    for i, pieces in enumerate(words.tolist()):
        word = sum(piece << 32 * k for k, piece in enumerate(pieces))
        fields = parameter_word(bits)
        expected = data.Const(fields, word % (1 << fields.size))
        assert (expected.bias, expected.shift) == (int(bias[i]), int(shift[i]))
        assert expected.residual_shift == residual_shift[i]
    back = unpack_parameters(bits, words)
    assert [part.tolist() for part in back] == [bias.tolist(), shift.tolist(), residual_shift]


def test_bias_counts_modulo_the_accumulator():
    bias, _, _ = unpack_parameters(
        16, pack_parameters(16, np.array([70000]), np.array([0]), np.array([0]))
    )
    assert bias.tolist() == [70000 - 65536]


def test_only_changes_are_written():
    emitter = Emitter(TINY, {}, {})
    for _ in range(2):
        emitter.walk(Nest.OUTPUT, Walk((Level(4, 1),), 10))
    assert len(emitter.instructions) == 1 + 4
    emitter.walk(Nest.OUTPUT, Walk((Level(4, 1),), 11))
    assert decode(emitter.instructions[-1]).opcode is Opcode.ORIGIN
    assert len(emitter.instructions) == 6


@pytest.mark.parametrize("address, first", [(3, 1020), (1024 + 3, 2044), (1024 + 9, 1024 + 2)])
def test_the_first_address_keeps_its_bank(address, first):
    emitter = Emitter(TINY, {}, {})
    tensor = PlacedTensor("x", (8, 4, 6), Format(8, True, 0), address, Layout.default(8, 8))
    emitter.walk(Nest.ACTIVATION, Walk((Level(1),), address - 7, -1, -1), tensor)
    assert decode(emitter.instructions[1]).fields["address"] == first


def test_values_beyond_the_instruction_set():
    emitter = Emitter(TINY, {}, {})
    emitter.begin("wide", 0)
    with pytest.raises(
        NoMulError, match="layer wide is too large for the instruction set: LOOP last"
    ):
        emitter.walk(Nest.OUTPUT, Walk((Level(70000, 1),)))


@pytest.mark.parametrize("memory", ["weight_words", "parameter_words", "instruction_words"])
def test_overflow_names_memory_and_layer(memory):
    emitter = Emitter(TINY, {}, {})
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
