import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from compiler.cycles import predict
from quant.graph import Window
from rtl.architecture import load_architecture
from rtl.isa import Opcode, decode
from tests.random_networks import NetworkBuilder, random_network

TINY = load_architecture("tiny")
ROOMY = dataclasses.replace(
    TINY,
    memory=dataclasses.replace(
        TINY.memory, feature_words=8192, weight_words=1 << 17, parameter_words=4096
    ),
)


def cycles_of_one_layer(build):
    net = NetworkBuilder((16, 6, 6), np.random.default_rng(0))
    build(net)
    program = compile(net.graph(), ROOMY)
    before_run = [decode(int(word)).opcode for word in program.instructions].index(Opcode.RUN)
    # One cycle after the start, the instructions, and HALT's own.
    return program.cycles - (1 + before_run) - 1


def test_pooling_on_few_positions_waits_for_its_accumulator():
    duration = cycles_of_one_layer(lambda net: net.max_pool("input", Window((6, 6))))
    # Two blocks of one position each: three cycles a round, 36 rounds.
    assert duration == 4 + 35 * 3 + 2 - 1 + 9


def test_pooling():
    duration = cycles_of_one_layer(lambda net: net.max_pool("input", Window((2, 2), (2, 2))))
    assert duration == 4 + 4 * 2 * 9 - 1 + 9


def test_engine():
    def build(net):
        net.conv("input", 16, Window((3, 3)))
        net.layers[0].weight[:] = 1

    # 2 input blocks, 9 taps, 2 output blocks of 16 positions.
    expected = 8 + 3 + 35 * 16 + 16 - 1 + ROOMY.engine_config.latency + 9
    assert cycles_of_one_layer(build) == expected


@pytest.mark.parametrize("seed", range(10))
def test_layers_add_up(seed):
    program = compile(random_network(seed), ROOMY)
    cycles = predict(ROOMY, program.instructions.tolist())
    assert cycles.total == program.cycles == sum(cycles.layers.values()) + 1
    assert [layer.cycles for layer in program.layers] == [
        cycles.layers.get(i, 0) for i in range(len(program.layers))
    ]
