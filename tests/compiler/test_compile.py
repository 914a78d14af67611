import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format
from quant.quantized import QAvgPool
from rtl.architecture import load_architecture
from rtl.isa import Opcode, decode
from tests.random_networks import NetworkBuilder, random_network

TINY = load_architecture("tiny")


def machine(**memory):
    return dataclasses.replace(TINY, memory=dataclasses.replace(TINY.memory, **memory))


def small(shape=(3, 6, 6)):
    return NetworkBuilder(shape, np.random.default_rng(0))


def test_program_begins_with_check_and_ends_with_halt():
    net = small()
    net.conv("input", 4)
    program = compile(net.graph(), "tiny")
    opcodes = [decode(int(word)).opcode for word in program.instructions]
    assert opcodes[0] is Opcode.CHECK
    assert opcodes[-1] is Opcode.HALT
    assert opcodes.count(Opcode.RUN) == 1
    assert program.architecture == TINY


def test_compilation_is_deterministic():
    a, b = (compile(random_network(3, 5, 4), machine(weight_words=1 << 17)) for _ in range(2))
    assert np.array_equal(a.instructions, b.instructions)
    assert np.array_equal(a.weights, b.weights)
    assert a.layers == b.layers


def test_features_do_not_fit():
    net = small((8, 40, 40))
    big = net.conv("input", 32)
    net.conv(big, 8)
    with pytest.raises(NoMulError) as error:
        compile(net.graph(), "tiny")
    message = str(error.value)
    assert "needs 8000 words, tiny has 2048; layer layer0 has most in use (8000 words" in message
    assert "set feature_words = 8192" in message
    assert "\n" not in message


def test_weights_do_not_fit():
    net = small((32, 6, 6))
    net.conv("input", 8)
    net.conv("input", 128, Window((3, 3)))
    with pytest.raises(NoMulError, match=r"weight words: .*tiny has 4096, and layer layer1"):
        compile(net.graph(), "tiny")


def test_instructions_do_not_fit():
    net = small()
    for _ in range(3):
        net.conv("input", 4)
    with pytest.raises(NoMulError, match="instruction words: the network needs"):
        compile(net.graph(), machine(instruction_words=16))


def test_codes_too_wide():
    net = NetworkBuilder((3, 4, 4), np.random.default_rng(0), bits=10)
    net.conv("input", 4)
    with pytest.raises(NoMulError, match="tensor input has 10-bit codes, tiny has activation_bits"):
        compile(net.graph(), "tiny")


def test_maps_too_large():
    net = small((1, 1, 5000))
    net.conv("input", 1)
    with pytest.raises(NoMulError, match=r"tensor input is 1 x 5000.*at most 4095"):
        compile(net.graph(), "tiny")


def test_accumulators_too_narrow():
    net = small((16, 6, 6))
    net.conv("input", 4, Window((3, 3)))
    with pytest.raises(NoMulError, match=r"layer layer0: sums reach .*accumulators have 16"):
        compile(net.graph(), dataclasses.replace(TINY, accumulator_bits=16))


def test_shift_too_large():
    net = small()
    net.conv("input", 4)
    net.layers[0].shift[2] = 40
    with pytest.raises(NoMulError, match=r"layer layer0: a shift of 40 is outside 0 .. 31"):
        compile(net.graph(), "tiny")


def test_residual_too_far_away():
    net = small()
    net.conv("input", 3, residual="input")
    net.layers[0].residual_shift[:] = net.layers[0].shift + 4
    with pytest.raises(NoMulError, match=r"layer layer0: the residual's fraction .* differ by 4"):
        compile(net.graph(), "tiny")


@pytest.mark.parametrize("odd_layout", [False, True])
def test_operands_of_a_sum_too_far_apart(odd_layout):
    # Tensors of the same layout are added past the engine, others by a convolution.
    net = small((12, 4, 4))
    a = net.conv("input", 12)
    if odd_layout:
        parts = [net.conv("input", 6), net.conv("input", 6)]
        a = net.concat(parts[0], net.same_format(parts[1], parts[0]))
    net.sum(a, "input")
    object.__setattr__(net.layers[-1], "shifts", (8, 0))
    object.__setattr__(net.layers[-1], "shift", 2)
    name = net.layers[-1].name
    with pytest.raises(NoMulError, match=f"layer {name}: the residual's fraction .* differ by 6"):
        compile(net.graph(), "tiny")


def test_a_sum_that_only_grows():
    net = small()
    net.sum("input", "input")
    object.__setattr__(net.layers[-1], "shifts", (2, 3))
    object.__setattr__(net.layers[-1], "shift", 1)
    with pytest.raises(NoMulError, match=r"layer layer0: a shift of -1 is outside 0 .. 31"):
        compile(net.graph(), "tiny")


def test_requantization_too_far_to_the_left():
    net = small()
    net.requantize("input")
    object.__setattr__(net.layers[-1], "left", 40)
    object.__setattr__(net.layers[-1], "shift", 0)
    with pytest.raises(NoMulError, match="layer layer0: a left shift of 40 is outside"):
        compile(net.graph(), "tiny")


def test_padding_beyond_what_a_machine_counts():
    # Column 9000 would be column 808 again.
    net = small((1, 1, 4000))
    net.conv("input", 1, Window(stride=(1, 4), padding=(0, 0, 0, 5001)))
    with pytest.raises(NoMulError, match=r"layer0 reads columns up to 9000, .* counts to 4095"):
        compile(net.graph(), machine(feature_words=8192, accumulator_words=4096))


def test_rows_of_too_many_words():
    net = small((24, 1, 1500))
    net.conv("input", 1)
    with pytest.raises(
        NoMulError, match=r"tensor input has 4500 words a row, .* at most 4095; use"
    ):
        compile(net.graph(), machine(feature_words=8192))


def test_a_window_of_padding_alone():
    net = small()
    net.max_pool("input", Window((1, 1), padding=(0, 2, 0, 0)))
    with pytest.raises(NoMulError, match="layer layer0: a window of the maximum lies in the padd"):
        compile(net.graph(), "tiny")


def test_factor_out_of_reach():
    net = small()
    pool = QAvgPool(
        "pool", ("input",), (3, 1, 1), Format(8, True, 0), -128, 127, Window((6, 6)), 171, 10
    )
    net.add(pool)
    with pytest.raises(NoMulError, match=r"layer pool: a weight needs the term 2\*\*8, tiny reach"):
        compile(net.graph(), dataclasses.replace(TINY, pass_shift_bits=0))


def test_unknown_machine():
    with pytest.raises(NoMulError, match="no architecture nonesuch"):
        compile(random_network(0), "nonesuch")


def test_busy_counts_macs_and_passes():
    net = small((8, 8, 8))
    net.conv("input", 8, Window((3, 3), padding=(1, 1, 1, 1)))
    net.layers[0].weight[:] = 3
    program = compile(net.graph(), "tiny")
    layer = program.layers[0]
    assert program.architecture.macs_per_cycle == 64
    assert (layer.passes, layer.macs) == (2, 64 * 8 * 8 * 9)
    assert layer.busy(64) == pytest.approx(2 * layer.macs / (64 * layer.cycles))
    assert 0.9 < layer.busy(64) < 1
    assert program.busy == pytest.approx(2 * layer.macs / (64 * program.cycles))
