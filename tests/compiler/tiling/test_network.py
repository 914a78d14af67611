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
from rtl.isa import Nest, Opcode, Path, Waited
from rtl.registers import Region
from sim.reads import ActivationReads
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_network

ARCH = small_machine()


def compiled(seed):
    return compile(random_network(seed), ARCH)


def spans(move, beats):
    """Words on chip, and outside, of a transfer."""
    rows, words = np.arange(move.rows)[:, None], np.arange(move.words)
    inside = move.address + rows * move.address_stride + words
    outside = (move.offset + rows * move.memory_stride) // beats + words
    return set(inside.reshape(-1).tolist()), set(outside.reshape(-1).tolist())


def wide_network():
    """Layers whose blocks do not fit the weights of :data:`NARROW`."""
    net = NetworkBuilder((24, 5, 5), np.random.default_rng(4), weight_bits=2)
    x = net.conv("input", 24, Window((3, 3), padding=(1, 1, 1, 1)))
    x = net.conv(x, 24, Window((3, 3), padding=(1, 1, 1, 1)), residual=x)
    x = net.conv(x, 40, Window((5, 5)))
    net.conv(x, 9)
    return net.graph("wide")


NARROW = small_machine(weight_words=176)


@pytest.mark.parametrize("seed", [1, 3, 7, 9, 10, 21, 27, "wide"])
def test_nothing_is_used_before_it_is_there(seed):
    """Transfers that nothing has waited for touch no words that a run, or another channel's, does.

    Each channel works off its transfers in order; runs follow each other. So a word that a transfer
    reads or writes may be touched by others only behind a wait for it, or by its own channel.
    """
    program = compile(wide_network(), NARROW) if seed == "wide" else compiled(seed)
    beats = {region: word_beats(bits) for region, bits in word_bits(ARCH).items()}
    open_: list[list[tuple]] = [[], []]  # transfers that may still be under way, of each channel
    sent, seen = [0] * CHANNELS, [0] * CHANNELS
    # Words that the run which may be under way writes or reads.
    running: set[tuple[Region, int]] = set()
    for event in execute(program.architecture, program.instructions.tolist()):
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
            region = Region(event.region)
            words, outside = spans(event, beats[region])
            inside = {(region, word) for word in words}
            outside = {(event.buffer, word) for word in outside}
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


def addressed(run, nest, region):
    return {(region, word) for word in run.addresses(nest, 1 << 24).tolist()}


def written(run):
    if not run.settings.get(Opcode.MEMBERS)["count"]:
        return set()
    return addressed(run, Nest.OUTPUT, Region.FEATURES)


def touched(run):
    """What a run reads and writes; parameters count only where something is written."""
    reads = ActivationReads.of(ARCH, run, lambda *_: None)
    features = reads.addresses[reads.inside].reshape(-1).tolist()
    found = {(Region.FEATURES, word) for word in features} | written(run)
    if run.path is Path.ENGINE:
        found |= addressed(run, Nest.WEIGHT, Region.WEIGHTS)
    if written(run):
        found |= addressed(run, Nest.PARAMETER, Region.PARAMETERS)
    return found


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


def runs_of(program):
    words = program.instructions.tolist()
    return [event for event in execute(program.architecture, words) if isinstance(event, Run)]


def test_layers_whose_weights_do_not_fit_come_in_slices():
    """Each of their tiles is several runs, all but the first of which continue the one before."""
    program = compile(wide_network(), NARROW)
    sliced, open_ = set(), False
    for event in execute(NARROW, program.instructions.tolist()):
        if isinstance(event, Run):
            assert bool(event.fields["continues"]) == open_
            assert event.words(Nest.WEIGHT) <= NARROW.memory.weight_words // 2
            sliced |= {event.layer} if open_ else set()
            # What writes nothing goes on.
            open_ = not written(event)
    assert sliced == {0, 1, 2}
    roomy = small_machine(weight_words=4096)
    assert not any(run.fields["continues"] for run in runs_of(compile(wide_network(), roomy)))


def test_a_classifier_of_the_size_of_vgg16():
    """A tenth of it in each dimension, and as much of the machine's memory: what it takes to load.

    The weights of a block of outputs are twice what the weight memory holds; they load without a
    break while the runs before work.
    """
    base = load_architecture("zynq7020-ddr")
    memory = replace(base.memory, weight_words=512, feature_words=256)
    arch = replace(base, memory=memory)
    net = NetworkBuilder((64, 6, 7), np.random.default_rng(0), signed=False, weight_bits=2)
    net.conv("input", 320, Window((6, 7)))
    program = compile(net.graph(), arch)
    (layer,) = program.layers
    words = -(-4 * 6 * 7 // 3) * 320
    assert words // 10 > 2 * 512
    loads = words * word_beats(word_bits(arch)[Region.WEIGHTS]) / (CHANNELS * 0.7)
    assert loads < layer.cycles < 1.15 * loads
    assert sum(run.fields["continues"] for run in runs_of(program)) >= 10 * 3


def test_codes_that_split_stay_on_chip():
    with pytest.raises(ValueError, match="codes that split stay on chip"):
        replace(load_architecture("multiwidth-small"), external=ARCH.external)
