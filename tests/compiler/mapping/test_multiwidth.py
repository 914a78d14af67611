import numpy as np
import pytest

from compiler.compile import compile
from compiler.cycles import predict
from compiler.settings import Run, execute
from quant.graph import Window
from rtl.engines.multiwidth import Multiwidth
from rtl.isa import Nest, Opcode
from tests.machines import split_machine
from tests.random_networks import NetworkBuilder

MACHINE = split_machine(accumulator_words=1024)


def network(bits, channels):
    return NetworkBuilder((channels, 8, 8), np.random.default_rng(0), bits)


def only_run(net):
    (run,) = [
        event
        for event in execute(MACHINE, compile(net.graph(), MACHINE).instructions.tolist())
        if isinstance(event, Run)
    ]
    return run


@pytest.mark.parametrize("bits, parts", [(8, 4), (16, 2), (32, 1)])
def test_cycles_fall_with_the_width(bits, parts):
    """Vectors of a layer whose channels fill all parts: one a cycle, with one fill of the array."""
    net = network(bits, 16)
    net.conv("input", 16, Window((3, 3), padding=(1, 1, 1, 1)))
    program = compile(net.graph(), MACHINE)
    vectors = 64 * 9 * 16 * 16 // (16 * parts)
    assert vectors < predict(MACHINE, program.instructions.tolist()).layers[0] < vectors + 130


@pytest.mark.parametrize("channels, parts", [(3, 1), (4, 1), (5, 2), (16, 4), (17, 4)])
def test_parts_without_channels_are_left_out(channels, parts):
    net = network(8, channels)
    net.conv("input", 4, Window((2, 2), stride=(2, 2), dilation=(2, 2)))
    assert only_run(net).counts(Nest.ACTIVATION)[2] == parts


@pytest.mark.parametrize("bits, tiles", [(8, 4), (16, 2), (32, 1)])
def test_pooling_over_the_whole_map_loads_a_tile_a_part(bits, tiles):
    """Its weights are alike, so all positions pass by the tile of a part."""
    net = network(bits, 16)
    net.avg_pool("input", Window((8, 8)))
    run = only_run(net)
    # Lanes words a tile, for each block of a run.
    blocks = run.counts(Nest.OUTPUT)[3]
    assert run.words(Nest.WEIGHT) == MACHINE.lanes * tiles * blocks
    assert run.engine_settings(Multiwidth.Settings)["last_vector"] == 63
    assert run.settings.get(Opcode.LOOP, Nest.ACTIVATION.value, 2)["last"] == tiles - 1
