"""Networks in tiles, checked by following their programs."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.compile import compile
from compiler.program import Program
from compiler.settings import Move, Run, Wait, execute
from compiler.tiling.emit import CHANNELS, word_bits
from compiler.tiling.transfers import word_beats
from quant.errors import NoMulError
from quant.graph import Window
from quant.quantized import QMaxPool
from rtl.architecture import load_architecture
from rtl.isa import Nest, Waited
from rtl.registers import Region
from sim.reads import ActivationReads
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_network

ARCH = small_machine()


def compiled(seed):
    return compile(random_network(seed), ARCH)


def spans(move, beats):
    """Feature words on chip, and outside, of a transfer."""
    rows, words = np.arange(move.rows)[:, None], np.arange(move.words)
    inside = move.address + rows * move.address_stride + words
    outside = (move.offset + rows * move.memory_stride) // beats + words
    return set(inside.reshape(-1).tolist()), set(outside.reshape(-1).tolist())


@pytest.mark.parametrize("seed", [1, 3, 7, 9, 10, 21, 27])
def test_nothing_is_used_before_it_is_there(seed):
    """Transfers that nothing has waited for touch no words that a run, or another channel's, does.

    Each channel works off its transfers in order; runs follow each other. So a word that a transfer
    reads or writes may be touched by others only behind a wait for it, or by its own channel.
    """
    program = compiled(seed)
    beats = word_beats(word_bits(ARCH)[Region.FEATURES])
    open_: list[list[tuple]] = [[], []]  # transfers that may still be under way, of each channel
    sent, seen = [0] * CHANNELS, [0] * CHANNELS
    running: set[int] = set()  # words that the run which may be under way writes or reads
    for event in execute(ARCH, program.instructions.tolist()):
        if isinstance(event, Wait):
            if event.what is Waited.RUNS:
                running = set()
            else:
                n = event.what.value
                seen[n] = max(seen[n], event.count)
                assert seen[n] <= sent[n]
                open_[n] = [entry for entry in open_[n] if entry[0] > seen[n]]
        elif isinstance(event, Move):
            sent[event.channel] += 1
            if Region(event.region) is not Region.FEATURES:
                continue
            inside, outside = spans(event, beats)
            for _, store, other_in, other_out in open_[1 - event.channel]:
                if not event.store:
                    assert not inside & other_in, "overwrites what the other channel moves"
                if event.store or store:
                    assert not outside & other_out, "reads what the other channel writes"
            assert not inside & running or event.store
            open_[event.channel].append((sent[event.channel], event.store, inside, outside))
        elif isinstance(event, Run):
            running = set(touched(event))
            for entries in open_:
                for _, store, inside, _ in entries:
                    writes = written(event)
                    assert not inside & (writes if store else running)


def written(run):
    return set(run.addresses(Nest.OUTPUT, 1 << 24).tolist())


def touched(run):
    reads = ActivationReads.of(ARCH, run, lambda *_: None)
    return set(reads.addresses[reads.inside].reshape(-1).tolist()) | written(run)


def test_tensors_stand_apart_outside():
    program = compiled(7)
    tensors = [program.input, *(layer.output for layer in program.layers)]
    assert max(t.address + t.words for t in tensors) <= program.external_words
    assert len(program.instructions) > ARCH.memory.instruction_words
    assert program.cycles >= sum(layer.cycles for layer in program.layers) > 0


def test_a_program_comes_back_from_its_file(tmp_path):
    program = compiled(7)
    program.save(tmp_path / "p")
    again = Program.load(tmp_path / "p", ARCH)
    assert np.array_equal(again.external, program.external)
    assert again.external_words == program.external_words
    assert np.array_equal(again.instructions, program.instructions)


def test_a_pool_is_joined_to_its_convolution():
    net = NetworkBuilder((4, 12, 12), np.random.default_rng(0), weight_bits=2)
    x = net.conv("input", 8, Window((3, 3), padding=(1, 1, 1, 1)))
    net.max_pool(x, Window((2, 2), (2, 2)))
    graph = net.graph()
    assert isinstance(graph.layers[-1], QMaxPool)
    program = compile(graph, small_machine(feature_words=128))
    # The convolution's tensor never leaves the chip.
    beats = word_beats(word_bits(ARCH)[Region.FEATURES])
    conv = program.layers[0].output
    own = set(range(conv.address, conv.address + conv.words))
    moves = [
        e
        for e in execute(program.architecture, program.instructions.tolist())
        if isinstance(e, Move)
    ]
    assert not any(
        spans(move, beats)[1] & own for move in moves if Region(move.region) is Region.FEATURES
    )


@pytest.mark.parametrize(
    "memory, message",
    [
        ({"feature_words": 16}, "not even its smallest tile fits tiny; raise feature_words"),
        ({"weight_words": 16}, "not even its smallest tile fits tiny; raise feature_words or weig"),
    ],
)
def test_a_machine_that_is_too_small(memory, message):
    net = NetworkBuilder((40, 9, 9), np.random.default_rng(0))
    net.conv("input", 24, Window((3, 3), padding=(1, 1, 1, 1)))
    with pytest.raises(NoMulError, match=message):
        compile(net.graph(), small_machine(**memory))


def test_codes_that_split_stay_on_chip():
    with pytest.raises(ValueError, match="codes that split stay on chip"):
        replace(load_architecture("multiwidth-small"), external=ARCH.external)
