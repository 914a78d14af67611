import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from compiler.cycles import arrivals, last_start, most_waiting, predict, starts
from compiler.mapping import Timing
from quant.graph import Window
from rtl.isa import Opcode, decode
from tests.machines import machine
from tests.random_networks import NetworkBuilder, random_network

NARROW = machine()
WIDE = machine(16, 3, 2, "w4r", queue_words=512)


def cycles_of_one_layer(build, architecture=NARROW, shape=(16, 6, 6)):
    net = NetworkBuilder(shape, np.random.default_rng(0))
    build(net)
    program = compile(net.graph(), architecture)
    before_run = [decode(int(word)).opcode for word in program.instructions].index(Opcode.RUN)
    # Two cycles after the start, the instructions, and HALT's own.
    return program.cycles - (2 + before_run) - 1


def test_pooling():
    duration = cycles_of_one_layer(lambda net: net.max_pool("input", Window((2, 2), (2, 2))))
    # Two blocks of 9 windows of 4 words; the sums of word 71 are taken in cycle 8 + 71.
    assert duration == 8 + 71 + 4 + 1 + 8


def test_copies_take_a_cycle_a_member():
    duration = cycles_of_one_layer(lambda net: net.same_format("input", "input"), WIDE)
    # 36 words of one block are 18 words of sums; the first is taken in cycle 8.
    assert duration == 8 + 4 + 17 * 2 + 2 + 8


def ones(net, outputs, window):
    net.conv("input", outputs, window)
    net.layers[0].weight[:] = 1
    net.layers[0].weight[0, 0, 0, 0] = 2  # so that tiles differ


def test_engine():
    duration = cycles_of_one_layer(lambda net: ones(net, 16, Window((3, 3))))
    # 2 input blocks, 9 taps, 2 output blocks of 16 positions.
    last = 8 + 5 + 35 * 16 + 15 + NARROW.engine_config.latency
    assert duration == last + 4 + 1 + 8


def test_tiles_that_load_longer_than_they_serve():
    duration = cycles_of_one_layer(lambda net: ones(net, 8, Window((5, 6))))
    # Two outputs of 60 steps; a tile is 8 words and takes 9 cycles.
    last = 8 + 5 + 59 * 9 + 1 + NARROW.engine_config.latency
    assert duration == last + 4 + 1 + 8


def test_a_tile_that_serves_the_whole_window():
    def build(net):
        net.avg_pool("input", Window((4, 4), (2, 2)))
        object.__setattr__(net.layers[0], "multiplier", 1)

    # Two blocks, each of one tile for 16 taps of 4 positions.
    last = 8 + 5 + 64 + 63 + NARROW.engine_config.latency
    assert cycles_of_one_layer(build) == last + 4 + 1 + 8


def test_post_processing_goes_on_beside_the_next_part():
    def build(net):
        ones(net, 16, Window((3, 3), padding=(1, 1, 1, 1)))

    duration = cycles_of_one_layer(build, WIDE, (16, 32, 32))
    # 3 steps of 512 words of sums; what remains is less than a tenth.
    assert 3 * 512 < duration < 3 * 512 * 1.06


@pytest.mark.parametrize("shape", [(3, 1, 40), (5, 2, 11), (2, 3, 50), (40, 1, 1)])
@pytest.mark.parametrize("members", [1, 2, 4])
@pytest.mark.parametrize("vectors", [1, 5, 11])
def test_vector_by_vector_is_the_closed_form_where_nothing_waits(shape, members, vectors):
    timing = Timing(8, vectors, max(vectors, 9), 5)
    waiting = arrivals(timing, 11, shape)
    start = starts(waiting, members)
    assert last_start(timing, 11, shape, members, most_waiting(waiting, start)) == start[-1]


@pytest.mark.parametrize("members", [1, 2, 4])
def test_vectors_that_give_no_sums(members):
    """A tile of 5 x 4 vectors whose first two rows and first column give none."""
    timing = Timing(8, 20, 20, 5, 4, 2, 1)
    assert timing.giving.tolist() == [9, 10, 11, 13, 14, 15, 17, 18, 19]
    waiting = arrivals(timing, 11, (2, 3, 9))
    # The words that finish are those of the third tile and the sixth.
    taken = [11 + 20 * tile + int(vector) for tile in (2, 5) for vector in timing.giving]
    assert waiting.tolist() == [cycle + 5 + 4 for cycle in taken]
    start = starts(waiting, members)
    room = most_waiting(waiting, start)
    assert last_start(timing, 11, (2, 3, 9), members, room) == start[-1]


def test_a_queue_without_room_holds_vectors_back():
    # One word a cycle comes, every fourth cycle one goes; ten rounds of nothing follow.
    timing, shape = Timing(0, 1000, 1000, 1), (1, 1, 200)
    waiting = arrivals(timing, 5, shape)
    start = starts(waiting, 4)
    assert most_waiting(waiting, start) > 8
    assert last_start(timing, 5, shape, 4, 8) == start[-1]
    # What is held back comes later in the rounds that follow.
    shape = (2, 20, 20)
    free = starts(arrivals(timing, 5, shape), 4)[-1]
    assert last_start(timing, 5, shape, 4, 8) > free


@pytest.mark.parametrize("architecture", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("seed", range(10))
def test_layers_add_up(seed, architecture):
    architecture = dataclasses.replace(architecture, accumulator_bits=32)
    program = compile(random_network(seed), architecture)
    cycles = predict(architecture, program.instructions.tolist())
    assert cycles.total == program.cycles == sum(cycles.layers.values()) + 1
    assert [layer.cycles for layer in program.layers] == [
        cycles.layers.get(i, 0) for i in range(len(program.layers))
    ]
