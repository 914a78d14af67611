import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from compiler.compile import compile
from compiler.settings import ProgramError
from quant.errors import NoMulError
from quant.graph import Window
from quant.reference import run_reference
from rtl.architecture import Architecture, load_architecture
from rtl.isa import VERSION, Nest, Opcode, decode, encode
from sim.program import ProgramSimulator
from tests.random_networks import NetworkBuilder, random_codes, random_network

TINY = load_architecture("tiny")
ROOMY = {
    "feature_words": 8192,
    "weight_words": 1 << 18,
    "parameter_words": 4096,
    "accumulator_words": 256,
    "instruction_words": 4096,
}


def machine(lanes=8, term_bits=4, activation_bits=8, accumulator_bits=32, shift_bits=3, **memory):
    return Architecture.from_dict(
        {
            "name": "random",
            "part": "xc7z020",
            "clock_mhz": 100,
            "engine": {"kind": "shift_gemm", "lanes": lanes, "term_bits": term_bits},
            "numbers": {
                "activation_bits": activation_bits,
                "accumulator_bits": accumulator_bits,
                "pass_shift_bits": shift_bits,
            },
            "memory": {**ROOMY, **memory},
        }
    )


def assert_equal_at_every_layer(graph, architecture, codes):
    program = compile(graph, architecture)
    result = ProgramSimulator(program, batch=2).run(codes)
    expected = run_reference(graph, codes)
    assert set(result.tensors) == {layer.name for layer in graph.layers}
    for layer in graph.layers:
        assert np.array_equal(result.tensors[layer.name], expected[layer.name]), layer.name
    assert np.array_equal(result.outputs, expected[graph.output])
    assert result.cycles == program.cycles
    return program


MACHINES = [
    machine(),
    machine(lanes=4, term_bits=3),
    machine(lanes=16, term_bits=5, activation_bits=10),
    machine(accumulator_words=16),
    machine(term_bits=2, shift_bits=4, activation_bits=16),
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
    result = ProgramSimulator(compile(graph, machine())).run(codes)
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
        ProgramSimulator(small_program()).run(codes)


def test_progress():
    done = []
    codes = np.zeros((5, 3, 6, 6), int)
    ProgramSimulator(small_program(), batch=2).run(codes, done.append)
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
    return ProgramSimulator(program).run(np.zeros((1, 3, 6, 6), int))


def test_conflicting_banks():
    program = small_program()
    residual = origin(program, Nest.RESIDUAL)
    activation = program.input.address // TINY.memory.feature_words
    address = activation * TINY.memory.feature_words + 100
    with pytest.raises(ProgramError, match="activations and residual in one bank"):
        run_changed(changed(program, Opcode.ORIGIN, residual, address=address))


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
        run_changed(changed(program, Opcode.ORIGIN, parameter, address=400))


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


def test_max_on_the_engine():
    with pytest.raises(ProgramError, match="MAX on the path ENGINE"):
        run_changed(changed(small_program(), Opcode.RUN, accumulate=1))


def test_program_of_another_machine():
    other = dataclasses.replace(TINY, accumulator_bits=30)
    words = small_program().instructions.copy()
    words[0] = encode(Opcode.CHECK, version=VERSION, fingerprint=other.fingerprint)
    program = dataclasses.replace(small_program(), instructions=words)
    with pytest.raises(ProgramError, match="the program is for machine"):
        run_changed(program)


@pytest.mark.skipif(
    not (os.environ.get("NOMUL_MODELS") and os.environ.get("NOMUL_DATA")),
    reason="NOMUL_MODELS and NOMUL_DATA name no folders with networks and images",
)
@pytest.mark.parametrize("scheme, architecture", [("int8", "zynq7045"), ("log4", "zynq7020")])
@pytest.mark.parametrize("name, busy", [("resnet20", 0.94), ("resnet8", 0.85)])
def test_pretrained(name, busy, scheme, architecture):
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
