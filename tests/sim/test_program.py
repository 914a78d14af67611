import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from compiler.compile import compile
from compiler.settings import ProgramError
from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import Format
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.isa import VERSION, Nest, Opcode, decode, encode
from sim.simulators import program_simulator
from tests.machines import machine
from tests.random_networks import NetworkBuilder, random_codes, random_network

TINY = load_architecture("tiny")


def assert_equal_at_every_layer(graph, architecture, codes):
    program = compile(graph, architecture)
    result = program_simulator(program, batch=2).run(codes)
    expected = run_reference(graph, codes)
    assert set(result.tensors) == {layer.name for layer in graph.layers}
    for layer in graph.layers:
        assert np.array_equal(result.tensors[layer.name], expected[layer.name]), layer.name
    assert np.array_equal(result.outputs, expected[graph.output])
    assert result.cycles == program.cycles
    return program


MACHINES = [
    machine(),
    machine(4, 3, 2, "w3"),
    machine(16, 3, 2, "log5", activation_bits=10),
    machine(8, 2, 4, "w4r", accumulator_words=16, queue_words=32),
    machine(8, 4, 1, "log4", activation_bits=16, pass_shift_bits=4),
]


@pytest.mark.parametrize("index", range(len(MACHINES)))
@pytest.mark.parametrize("seed", range(25))
def test_random_networks(seed, index):
    graph = random_network(1000 * index + seed, weight_bits=(8, 4)[seed % 2])
    codes = random_codes(graph, 3, np.random.default_rng(seed))
    assert_equal_at_every_layer(graph, MACHINES[index], codes)


@pytest.mark.parametrize("seed", range(30))
def test_narrowest_accumulators_wrap_and_are_right(seed):
    # As few bits as the proof allows, while folded sums and the corrected bias need more.
    source = np.random.default_rng(seed)
    net = NetworkBuilder((int(source.integers(1, 20)), 5, 5), source, weight_bits=5)
    net.conv(net.conv("input", 8, Window((3, 3))), 8, residual="layer0")
    graph = net.graph()
    for bits in range(16, 33):
        try:
            compile(graph, machine(accumulator_bits=bits))
        except NoMulError as error:
            assert "sums reach" in str(error)
            continue
        codes = random_codes(graph, 4, source)
        assert_equal_at_every_layer(graph, machine(accumulator_bits=bits), codes)
        return
    raise AssertionError("no width fits")


def test_narrow_codes_in_wide_lanes():
    net = NetworkBuilder((5, 6, 6), np.random.default_rng(2), bits=4, signed=False)
    net.max_pool(net.conv("input", 9, Window((3, 3))), Window((2, 2), padding=(1, 1, 0, 0)))
    graph = net.graph()
    codes = random_codes(graph, 2, np.random.default_rng(0))
    assert_equal_at_every_layer(graph, machine(), codes)


def test_network_without_layers():
    net = NetworkBuilder((5, 3, 3), np.random.default_rng(2))
    net.requantize("input")
    graph = dataclasses.replace(net.graph("empty"), layers=(), output="input")
    codes = random_codes(graph, 2, np.random.default_rng(0))
    result = program_simulator(compile(graph, machine())).run(codes)
    assert np.array_equal(result.outputs, codes)


def test_depthwise_and_groups():
    net = NetworkBuilder((24, 6, 6), np.random.default_rng(3))
    x = net.conv("input", 24, Window((3, 3), padding=(1, 1, 1, 1)), groups=24)
    x = net.conv(x, 48, groups=24)
    net.conv(x, 12, groups=3)
    graph = net.graph()
    program = assert_equal_at_every_layer(
        graph, machine(), random_codes(graph, 2, np.random.default_rng(0))
    )
    # A depthwise block reads its own block only: 3 blocks, 9 taps, 36 positions.
    layer = program.layers[0]
    assert layer.cycles < layer.passes * 3 * 9 * 36 + 120
    # A vector of three words takes a row of taps at once, and two groups share the pixels.
    wide = assert_equal_at_every_layer(
        graph, machine(8, 3, 2), random_codes(graph, 2, np.random.default_rng(0))
    )
    assert wide.layers[0].cycles < layer.passes * 3 * 3 * 18 + 120


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_unfolded_images(channels, groups):
    net = NetworkBuilder((channels, 9, 8), np.random.default_rng(1), weight_bits=4)
    net.conv("input", 12, Window((5, 3), (2, 1), (2, 1, 1, 1)))
    graph = net.graph()
    arch = machine(16, 3, groups, "w4r")
    program = assert_equal_at_every_layer(
        graph, arch, random_codes(graph, 2, np.random.default_rng(0))
    )
    assert program.input.unfolding.rows == min(5, 16 // channels)


def test_blocks_and_pixels_in_one_word_of_sums():
    net = NetworkBuilder((16, 7, 7), np.random.default_rng(1), weight_bits=4)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    net.conv(net.conv("input", 16, window), 16, window, residual="input")
    graph = net.graph()
    for groups in (2, 4):
        codes = random_codes(graph, 2, np.random.default_rng(0))
        assert_equal_at_every_layer(graph, machine(8, 3, groups), codes)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_parts_of_concatenations(groups):
    # Words of other tensors stand between those that are read, and are written meanwhile.
    net = NetworkBuilder((5, 6, 7), np.random.default_rng(3), weight_bits=4)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    names = [net.conv("input", 9, window)]
    for _ in range(3):
        names.append(net.same_format(net.conv(names[-1], 7, window), names[0]))
        net.concat(*names)
    net.max_pool(net.layers[-1].name, Window((3, 2), (2, 2), (1, 1, 0, 0)))
    net.conv(net.layers[-2].name, 30, window, groups=30)
    graph = net.graph()
    codes = random_codes(graph, 2, np.random.default_rng(0))
    assert_equal_at_every_layer(graph, machine(8, 3, groups), codes)


def small_program(architecture=TINY):
    net = NetworkBuilder((3, 6, 6), np.random.default_rng(0))
    net.conv("input", 3, residual=net.conv("input", 3))
    return compile(net.graph("small"), architecture)


@pytest.mark.parametrize(
    "codes, message",
    [
        (
            np.zeros((3, 6, 6), int),
            r"images have the shape \(3, 6, 6\), small takes \(N, 3, 6, 6\)",
        ),
        (np.zeros((1, 3, 6, 7), int), "images have the shape"),
        (np.zeros((0, 3, 6, 6), int), "N of 1 or more"),
        (np.zeros((1, 3, 6, 6)), "images are float64, not integer codes"),
        (np.full((1, 3, 6, 6), 128), "image codes 128 .. 128 are outside -128 .. 127"),
    ],
)
def test_bad_images(codes, message):
    with pytest.raises(NoMulError, match=message):
        program_simulator(small_program()).run(codes)


def test_progress():
    done = []
    codes = np.zeros((5, 3, 6, 6), int)
    program_simulator(small_program(), batch=2).run(codes, done.append)
    assert done == [2, 4, 5]


def changed(program, opcode, nth=0, **fields):
    """The program with fields of its n-th instruction of a kind replaced."""
    words = program.instructions.tolist()
    places = [i for i, word in enumerate(words) if decode(word).opcode is opcode]
    instruction = decode(words[places[nth]])
    words[places[nth]] = encode(opcode, **{**instruction.fields, **fields})
    return dataclasses.replace(program, instructions=np.array(words, np.uint64))


def origin(program, nest, nth=0):
    """Position among ORIGIN instructions of the n-th one of a nest."""
    words = [decode(word) for word in program.instructions.tolist()]
    origins = [word for word in words if word.opcode is Opcode.ORIGIN]
    return [i for i, word in enumerate(origins) if word.fields["nest"] == nest.value][nth]


def run_changed(program):
    return program_simulator(program).run(np.zeros((1, 3, 6, 6), int))


def test_words_of_a_vector_in_one_bank():
    program = small_program(machine(8, 3, 2))
    with pytest.raises(ProgramError, match="two words of a vector stand in one bank"):
        run_changed(changed(program, Opcode.VECTOR, word_step=2))


@pytest.mark.parametrize(
    "nest, what",
    [(Nest.OUTPUT, "writes"), (Nest.ACTIVATION, "reads"), (Nest.RESIDUAL, "reads")],
)
def test_features_that_are_not_there(nest, what):
    program = small_program()
    place = origin(program, nest)
    with pytest.raises(ProgramError, match=f"{what} features that are not there"):
        run_changed(changed(program, Opcode.ORIGIN, place, address=TINY.memory.feature_words - 9))


def test_members_that_no_word_has():
    with pytest.raises(ProgramError, match="MEMBERS has a count that no word of sums has"):
        run_changed(changed(small_program(), Opcode.MEMBERS, count=2))


def test_a_word_written_twice():
    program = small_program()
    loops = [
        w.fields for w in map(decode, program.instructions.tolist()) if w.opcode is Opcode.LOOP
    ]
    output = [f["nest"] == Nest.OUTPUT.value and f["last"] > 0 for f in loops].index(True)
    with pytest.raises(ProgramError, match="writes a word twice"):
        run_changed(changed(program, Opcode.LOOP, output, step=0))


def test_a_window_wholly_outside_the_map():
    net = NetworkBuilder((3, 6, 6), np.random.default_rng(0))
    net.max_pool("input", Window((2, 2), padding=(1, 1, 0, 0)))
    program = compile(net.graph(), TINY)
    with pytest.raises(ProgramError, match="a window lies wholly outside the map"):
        run_changed(changed(program, Opcode.ORIGIN, origin(program, Nest.ACTIVATION), row=-2))


def test_accumulators_that_two_outputs_share():
    program = small_program()
    net = NetworkBuilder((3, 6, 6), np.random.default_rng(0))
    net.conv("input", 3, Window((3, 3)))
    program = compile(net.graph(), TINY)
    loops = [
        w.fields for w in map(decode, program.instructions.tolist()) if w.opcode is Opcode.LOOP
    ]
    sums = [f["nest"] == Nest.SUM.value and f["level"] == 0 for f in loops].index(True)
    with pytest.raises(ProgramError, match="sums of different outputs share an accumulator"):
        run_changed(changed(program, Opcode.LOOP, sums, step=0))


@pytest.mark.parametrize("groups", [1, 2])
def test_logarithmic_codes(groups):
    """Of layers of every kind; the image stays linear."""
    net = NetworkBuilder((3, 6, 6), np.random.default_rng(4), weight_bits=4, signed=False)
    x = net.conv("input", 9, Window((3, 3), padding=(1, 1, 1, 1)))
    y = net.conv(x, 9, residual=x)
    net.max_pool(y, Window((2, 2), (2, 2)))
    graph = net.graph()
    logarithmic = Format(8, False, 4, logarithmic=True)
    layers = [
        dataclasses.replace(layer, format=logarithmic, low=0, high=logarithmic.high)
        for layer in graph.layers
    ]
    graph = dataclasses.replace(graph, layers=tuple(layers))
    codes = random_codes(graph, 2, np.random.default_rng(0))
    assert_equal_at_every_layer(graph, machine(groups=groups, logarithmic=1), codes)
    with pytest.raises(NoMulError, match=r"logarithmic codes, test.* makes none"):
        compile(graph, machine(groups=groups))


def test_logarithmic_codes_of_a_machine_without_them():
    with pytest.raises(ProgramError, match="the machine has no logarithmic codes"):
        run_changed(changed(small_program(), Opcode.POST, logarithmic=1))


def test_writing_what_is_read():
    program = small_program()
    output = origin(program, Nest.OUTPUT)
    with pytest.raises(ProgramError, match=r"RUN of layer 0\): writes words that it reads"):
        run_changed(changed(program, Opcode.ORIGIN, output, address=program.input.address + 35))


def test_weights_that_are_not_there():
    program = small_program()
    weight = origin(program, Nest.WEIGHT)
    with pytest.raises(ProgramError, match="reads weights that nothing wrote"):
        run_changed(changed(program, Opcode.ORIGIN, weight, address=4000))


def test_parameters_that_are_not_there():
    program = small_program()
    parameter = origin(program, Nest.PARAMETER)
    with pytest.raises(ProgramError, match="reads parameters that nothing wrote"):
        run_changed(changed(program, Opcode.ORIGIN, parameter, address=60))


def test_nests_that_do_not_agree():
    program = small_program()
    words = [decode(word) for word in program.instructions.tolist()]
    loops = [word.fields for word in words if word.opcode is Opcode.LOOP]
    for nest, what in (
        (Nest.OUTPUT, "OUTPUT and SUM"),
        (Nest.SUM, "ACTIVATION and SUM"),
        (Nest.PARAMETER, "PARAMETER and SUM"),
        (Nest.RESIDUAL, "RESIDUAL and SUM"),
        (Nest.WEIGHT, "the engine stalls"),
    ):
        place = next(i for i, f in enumerate(loops) if f["nest"] == nest.value and f["last"])
        last = loops[place]["last"] - 1
        with pytest.raises(ProgramError, match=what):
            run_changed(changed(program, Opcode.LOOP, place, last=last))


def test_codes_that_the_machine_has_not():
    with pytest.raises(ProgramError, match="RANGE is wider than the machine's codes"):
        run_changed(changed(small_program(), Opcode.RANGE, high=256))


def test_a_shift_that_the_machine_has_not():
    with pytest.raises(ProgramError, match="PASS shifts further than the machine can"):
        run_changed(changed(small_program(), Opcode.PASS, shift=8))


def test_program_of_another_machine():
    other = dataclasses.replace(TINY, accumulator_bits=30)
    words = small_program().instructions.copy()
    words[0] = encode(Opcode.CHECK, version=VERSION, fingerprint=other.fingerprint, length=0)
    program = dataclasses.replace(small_program(), instructions=words)
    with pytest.raises(ProgramError, match="the program is for machine"):
        run_changed(program)


@pytest.mark.skipif(
    not (os.environ.get("NOMUL_MODELS") and os.environ.get("NOMUL_DATA")),
    reason="NOMUL_MODELS and NOMUL_DATA name no folders with networks and images",
)
@pytest.mark.parametrize("scheme, architecture", [("int8", "zynq7045"), ("w4r", "zynq7020")])
@pytest.mark.parametrize(
    "name, busy, cycles", [("resnet20", 0.89, 30_000), ("resnet8", 0.78, 10_500)]
)
def test_pretrained(name, busy, cycles, scheme, architecture):
    from quant import datasets
    from quant.importers import load
    from quant.networks import pretrained
    from quant.quantize import quantize
    from quant.reference import quantize_input

    module, preprocessing = pretrained(name, Path(os.environ["NOMUL_MODELS"]))
    images = datasets.cifar10_lossless().test_images[:32]
    graph = quantize(load(module, (3, 32, 32), name), preprocessing(images), scheme)
    codes = quantize_input(graph, preprocessing(images[:3]))
    program = assert_equal_at_every_layer(graph, architecture, codes)
    assert program.busy > busy
    if scheme == "w4r":
        assert program.cycles < cycles
