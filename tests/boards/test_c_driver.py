"""The driver for C: without a warning, and at the RTL of a machine."""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import boards
from boards.buffers import buffer_places
from boards.driver import image_of
from boards.register_map import c_header
from compiler.compile import compile
from compiler.program import Program
from quant.graph import Window
from quant.numbers import Format, dequantize, quantize
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.design import Design
from rtl.dma.registers import BEAT, Buffer, TransferError
from rtl.peripheral import Peripheral
from rtl.registers import ID, Control, Error, Register
from sim.compiled import CompiledModel
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_codes, random_network

SOURCES = Path(boards.__file__).parent / "c"
FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
STATUS = (
    "OK",
    "NO_IMAGE",
    "OTHER_FORMAT",
    "DAMAGED_IMAGE",
    "WIDE_WORDS",
    "NO_ACCESS",
    "NO_MEMORY",
    "NO_REST",
    "NO_MACHINE",
    "OTHER_MACHINE",
    "FAILED",
    "STOPPED",
    "HUNG",
)
WRITE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32), ctypes.c_uint32
)
IDLE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
BYTES = ctypes.POINTER(ctypes.c_uint8)
MOVE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, BYTES, ctypes.c_size_t)
FILES = ("nomul.c", "nomul_image.c", "nomul_devmem.c", "nomul_udmabuf.c")


class Transport(ctypes.Structure):
    _fields_ = [("context", ctypes.c_void_p), ("write", WRITE), ("read", WRITE), ("idle", IDLE)]


class CMemory(ctypes.Structure):
    _fields_ = [
        ("context", ctypes.c_void_p),
        ("base", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("write", MOVE),
        ("read", MOVE),
    ]


class Tensor(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("channels", "height", "width", "address", "words")),
        ("index", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("bits", "is_signed", "is_logarithmic", "fraction")),
    ]


class CImage(ctypes.Structure):
    _fields_ = [
        ("content", ctypes.c_void_p),
        *(
            (name, ctypes.c_uint32)
            for name in (
                "fingerprint",
                "version",
                "lanes",
                "bits",
                "pieces",
                "entries",
                "beats",
            )
        ),
        ("cycles", ctypes.c_uint64),
        ("input", Tensor),
        ("output", Tensor),
    ]


class Machine(ctypes.Structure):
    _fields_ = [
        ("transport", Transport),
        ("memory", CMemory),
        ("image", CImage),
        ("features", ctypes.c_uint64),
        ("error", ctypes.c_uint32),
        ("pc", ctypes.c_uint32),
        ("transfer_errors", ctypes.c_uint32 * 2),
        ("whole", ctypes.c_int),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("c")
    (folder / "nomul_registers.h").write_text(c_header())
    compiler = (sys.executable, "-m", "ziglang", "cc", *FLAGS, f"-I{SOURCES}", f"-I{folder}")
    sources = [str(SOURCES / name) for name in FILES]
    subprocess.run([*compiler, "-shared", "-fPIC", *sources, "-o", folder / "c.so"], check=True)
    example = [*compiler, *sources, str(SOURCES / "example.c"), "-lm", "-o", folder / "example"]
    subprocess.run(example, check=True)
    found = ctypes.CDLL(str(folder / "c.so"))
    found.nomul_message.restype = ctypes.c_char_p
    found.nomul_memory_bytes.restype = ctypes.c_uint64
    found.example = folder / "example"
    return found


@pytest.fixture(scope="module")
def network() -> tuple[Program, np.ndarray, np.ndarray]:
    graph = random_network(3)
    codes = random_codes(graph, 3, np.random.default_rng(3))
    program = compile(graph, "tiny")
    return program, codes, run_reference(graph, codes)[program.output.name]


@pytest.fixture(scope="module")
def simulated() -> CompiledModel:
    model = CompiledModel.build(Design(Peripheral, (load_architecture("tiny"),), "peripheral"))
    model.reset()
    return model


def transport_to(model) -> Transport:
    """Callbacks from C; they live as long as what is returned."""

    def write(context, address, words, count):
        model.write(address, np.ctypeslib.as_array(words, (count,)).copy())
        return 0

    def read(context, address, words, count):
        np.ctypeslib.as_array(words, (count,))[:] = model.read(address, count)
        return 0

    return Transport(None, WRITE(write), WRITE(read), IDLE(lambda context: model.idle()))


def read_image(library, content: bytes) -> tuple[str, CImage]:
    image = CImage()
    image.held = content  # The C structure points into it.
    status = library.nomul_read_image(ctypes.byref(image), content, ctypes.c_size_t(len(content)))
    return STATUS[status], image


def pointer(array: np.ndarray):
    return ctypes.c_void_p(array.ctypes.data)


def run(library, machine: Machine, codes: np.ndarray, shape) -> tuple[str, np.ndarray, int]:
    output, cycles = np.zeros(shape, np.int32), ctypes.c_uint32()
    codes = np.ascontiguousarray(codes, np.int32)
    status = library.nomul_run(
        ctypes.byref(machine), pointer(codes), pointer(output), ctypes.byref(cycles)
    )
    return STATUS[status], output, cycles.value


def test_a_network(library, network, simulated):
    program, codes, outputs = network
    content = image_of(program).to_bytes()
    status, image = read_image(library, content)
    assert status == "OK"
    transport, machine = transport_to(simulated), Machine()
    # What another driver left: a machine that runs.
    simulated.write(Register.CONTROL, np.array([Control.START], np.uint32))
    assert library.nomul_memory_bytes(ctypes.byref(image)) == 0
    assert opened(library, image, transport, machine=machine) == "OK"
    for image_codes, expected in zip(codes, outputs, strict=True):
        status, found, cycles = run(library, machine, image_codes, expected.shape)
        assert (status, cycles) == ("OK", program.cycles)
        np.testing.assert_array_equal(found, expected)


def opened(library, image: CImage, transport: Transport, memory=None, machine=None) -> str:
    machine = machine or Machine()
    places = [ctypes.byref(part) for part in (machine, transport, image)]
    return STATUS[library.nomul_open(*places, memory and ctypes.byref(memory))]


def test_what_it_refuses(library, network, simulated):
    content = image_of(network[0]).to_bytes()
    _, image = read_image(library, content)
    image.fingerprint ^= 1
    assert opened(library, image, transport_to(simulated)) == "OTHER_MACHINE"

    class Nobody:
        def read(self, address, count):
            return np.full(count, 0xFFFFFFFF, np.uint32)

    assert opened(library, image, transport_to(Nobody())) == "NO_MACHINE"
    refusing = Transport(None, WRITE(lambda *_: 1), WRITE(lambda *_: 1), IDLE(lambda _: None))
    assert opened(library, image, refusing) == "NO_ACCESS"
    assert read_image(library, b"x" * 100)[0] == "NO_IMAGE"
    assert read_image(library, content[:8])[0] == "NO_IMAGE"
    assert read_image(library, content[:-4])[0] == "DAMAGED_IMAGE"
    other = content[:4] + b"\x01\0\0\0" + content[8:]
    assert read_image(library, other)[0] == "OTHER_FORMAT"


def test_every_flipped_bit_is_seen(library, network):
    content = image_of(network[0]).to_bytes()
    chance = np.random.default_rng(0)
    for place in (*range(16), *chance.integers(16, len(content), 200)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(chance.integers(8))
        assert read_image(library, bytes(damaged))[0] != "OK"


def test_an_instruction_that_does_not_exist(library, network, simulated):
    program, codes, outputs = network
    wrong = program.instructions.copy()
    wrong[2] = 63
    content = image_of(Program(**{**vars(program), "instructions": wrong})).to_bytes()
    _, image = read_image(library, content)
    transport, machine = transport_to(simulated), Machine()
    assert opened(library, image, transport, machine=machine) == "OK"
    status, _, _ = run(library, machine, codes[0], outputs[0].shape)
    assert (status, machine.error, machine.pc) == ("FAILED", 1, 2)


@pytest.mark.parametrize("form", [Format(8, True, 5), Format(4, False, -2), Format(16, True, 0)])
def test_values_and_codes(library, form):
    values = np.random.default_rng(0).normal(0, 2.0 ** (form.bits - form.fraction - 1), 500)
    ties = (np.arange(-20, 20) + 0.5) * 2.0**-form.fraction
    values = np.concatenate([values, ties, [1e30, -1e30, np.inf, -np.inf]]).astype(np.float32)
    tensor = Tensor(1, 1, len(values), 0, 0, None, form.bits, form.signed, 0, form.fraction)
    codes, again = np.zeros(len(values), np.int32), np.zeros(len(values), np.float32)
    library.nomul_quantize(ctypes.byref(tensor), pointer(values), pointer(codes))
    np.testing.assert_array_equal(codes, quantize(values, form))
    library.nomul_dequantize(ctypes.byref(tensor), pointer(codes), pointer(again))
    np.testing.assert_array_equal(again, dequantize(codes, form.fraction).astype(np.float32))


def test_every_status_has_words(library):
    header = (SOURCES / "nomul.h").read_text()
    assert all(f"NOMUL_{name}" in header for name in STATUS)
    texts = [library.nomul_message(number) for number in range(len(STATUS) + 1)]
    assert len(set(texts)) == len(texts) and texts[-1] == b"an unknown status"


def test_the_example_says_what_is_missing(library, tmp_path):
    done = subprocess.run([library.example], capture_output=True, text=True)
    assert done.returncode == 2 and "usage: " in done.stderr
    missing = [library.example, tmp_path / "none", "x", "0"]
    done = subprocess.run(missing, capture_output=True, text=True)
    assert done.returncode == 1 and "none cannot be read" in done.stderr


def memory_at(place) -> CMemory:
    """Callbacks from C to a memory; they live as long as what is returned."""

    def write(context, offset, content, count):
        place.write(offset, np.ctypeslib.as_array(content, (count,)).copy())
        return 0

    def read(context, offset, content, count):
        np.ctypeslib.as_array(content, (count,))[:] = place.read(offset, count)
        return 0

    return CMemory(None, place.base, place.size, MOVE(write), MOVE(read))


@pytest.fixture(scope="module")
def tiled():
    """A network in external memory, and a machine that has such."""
    arch = small_machine(feature_words=64, instruction_words=64)
    net = NetworkBuilder((5, 23, 23), np.random.default_rng(2), weight_bits=2)
    net.conv("input", 9, Window((3, 3), (2, 2), (1, 1, 1, 1)))
    graph = net.graph("tiled")
    program, codes = compile(graph, arch), random_codes(graph, 2, np.random.default_rng(3))
    model = CompiledModel.build(Design(Peripheral, (arch,), "peripheral"))
    model.reset()
    model.memory.allocate(1 << 20)
    return program, codes, run_reference(graph, codes)[program.output.name], model


def test_a_network_in_external_memory(library, tiled):
    program, codes, outputs, model = tiled
    status, image = read_image(library, image_of(program).to_bytes())
    assert status == "OK"
    places, size = buffer_places(image_of(program))
    assert library.nomul_memory_bytes(ctypes.byref(image)) == size
    # More than one block of feature words.
    assert program.input.words * image.beats * BEAT > 4096
    model.memory.allow([(places[room.buffer], room.size) for room in image_of(program).buffers])
    transport, memory, machine = transport_to(model), memory_at(model.memory), Machine()
    # What another driver left: a machine that runs.
    model.write(Register.CONTROL, np.array([Control.START], np.uint32))
    assert opened(library, image, transport, memory, machine) == "OK"
    for image_codes, expected in zip(codes, outputs, strict=True):
        status, found, _ = run(library, machine, image_codes, expected.shape)
        assert status == "OK"
        np.testing.assert_array_equal(found, expected)
    assert (model.memory.escapes, model.memory.violation) == (0, None)
    model.memory.fail([places[Buffer.WEIGHTS]])
    status, _, _ = run(library, machine, codes[0], outputs[0].shape)
    assert (status, machine.error) == ("FAILED", Error.TRANSFER)
    assert TransferError.READ_SLVERR in list(machine.transfer_errors)
    model.memory.fail([])
    status, found, _ = run(library, machine, codes[0], outputs[0].shape)
    assert status == "OK"
    np.testing.assert_array_equal(found, outputs[0])


def test_external_memory_that_does_not_do(library, tiled):
    program, _, _, model = tiled
    _, image = read_image(library, image_of(program).to_bytes())
    transport = transport_to(model)
    for change in ({"size": 4096}, {"base": 8}, {"base": (1 << 32) - 4096}):
        memory = memory_at(model.memory)
        for name, value in change.items():
            setattr(memory, name, value)
        assert opened(library, image, transport, memory) == "NO_MEMORY"
    assert opened(library, image, transport) == "NO_MEMORY"
    refusing = CMemory(None, 0, 1 << 20, MOVE(lambda *_: 1), MOVE(lambda *_: 1))
    assert opened(library, image, transport, refusing) == "NO_ACCESS"
    answers = {Register.ID: ID, Register.FINGERPRINT: program.architecture.fingerprint}

    class Silent:
        def read(self, address, count):
            return np.array([answers.get(address + n, 0) for n in range(count)], np.uint32)

        def write(self, address, words):
            pass

        def idle(self):
            pass

    assert opened(library, image, transport_to(Silent()), memory_at(model.memory)) == "NO_REST"


def test_the_memory_of_linux(library, tmp_path):
    """On files that stand for those of u-dma-buf."""
    folder, device = tmp_path / "nomul-memory", tmp_path / "device"
    memory, names = CMemory(), (str(folder).encode(), str(device).encode())
    assert STATUS[library.nomul_open_udmabuf(ctypes.byref(memory), *names)] == "NO_MEMORY"
    folder.mkdir()
    (folder / "phys_addr").write_text("0x000000001e900000\n")
    (folder / "size").write_text("8192\n")
    assert STATUS[library.nomul_open_udmabuf(ctypes.byref(memory), *names)] == "NO_MEMORY"
    device.write_bytes(bytes(8192))
    assert STATUS[library.nomul_open_udmabuf(ctypes.byref(memory), *names)] == "OK"
    assert (memory.base, memory.size) == (0x1E900000, 8192)
    content, found = np.arange(100, dtype=np.uint8), np.zeros(100, np.uint8)
    places = [array.ctypes.data_as(BYTES) for array in (content, found)]
    assert memory.write(memory.context, 4096, places[0], 100) == 0
    assert memory.read(memory.context, 4096, places[1], 100) == 0
    np.testing.assert_array_equal(found, content)
    assert memory.read(memory.context, 8192, places[1], 8) == 1
