"""The driver with external memory: on the RTL behind its AXI ports, and what it refuses."""

import dataclasses

import numpy as np
import pytest

from boards.accelerator import Accelerator
from boards.buffers import PAGE, Buffers, buffer_places
from boards.driver import Driver, image_of
from boards.image import Image, Room
from compiler.compile import compile
from quant.errors import NoMulError
from quant.graph import Window
from quant.reference import run_reference
from rtl.design import Design
from rtl.dma.registers import BEAT, BUFFERS, DMA_REGION, Buffer
from rtl.packing import pack
from rtl.peripheral import Peripheral
from rtl.registers import ID, REGION_SHIFT, Control, Register
from sim.compiled import CompiledModel
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_codes

ARCH = small_machine(feature_words=64, instruction_words=64)


def network():
    net = NetworkBuilder((5, 6, 6), np.random.default_rng(2), weight_bits=2)
    x = net.conv("input", 9, Window((3, 3), padding=(1, 1, 1, 1)))
    net.conv(net.max_pool(x, Window((2, 2), (2, 2))), 12, Window((3, 3), padding=(1, 1, 1, 1)))
    return net.graph("tiles")


GRAPH = network()
PROGRAM = compile(GRAPH, ARCH)
CODES = random_codes(GRAPH, 2, np.random.default_rng(3))
EXPECTED = run_reference(GRAPH, CODES)


@pytest.fixture(scope="module")
def machine():
    model = CompiledModel.build(Design(Peripheral, (ARCH,), "peripheral"))
    model.reset()
    return model


@pytest.fixture
def memory(machine):
    """The memory at its ports, which nobody has used yet."""
    machine.memory.allocate(1 << 20, 1 << 28)
    machine.memory.percent, machine.memory.latency = 70, 40
    machine.memory.stall(0.1, seed=4)
    return machine.memory


def test_every_kept_layer_on_the_rtl(machine, memory):
    assert len(PROGRAM.instructions) > ARCH.memory.instruction_words
    image = Image.from_bytes(image_of(PROGRAM).to_bytes())
    places, size = buffer_places(image)
    memory.allow([(places[room.buffer], room.size) for room in image.buffers])
    driver = Driver(machine, PROGRAM, memory)
    seen = {}
    output, cycles = driver.trace(CODES[0], seen.__setitem__)
    assert cycles > 0 and driver.get(Register.RUNS) == PROGRAM.layers[-1].runs_done
    np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][0])
    assert seen and list(seen) == [layer.name for layer in PROGRAM.layers if layer.kept]
    for name, codes in seen.items():
        np.testing.assert_array_equal(codes, EXPECTED[name][0], err_msg=name)
    times = driver.layer_times()
    assert list(times) == list(seen)
    assert all(time.cycles > time.waits >= 0 for time in times.values())
    assert cycles - 2 * ARCH.memory.instruction_words < sum(t.cycles for t in times.values())
    assert sum(time.cycles for time in times.values()) < cycles
    # What stays of a driver that was killed in mid-run is in nobody's way.
    for wait in (20, 150, 700):
        driver.write_input(CODES[0])
        driver.go_on(Control.START, 0)
        machine.tick(wait)
        output, _ = Accelerator(machine, image, memory).run_codes(CODES[1])
        np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][1])
    assert all(memory.beats_read) and any(memory.beats_written)
    assert (memory.escapes, memory.violation) == (0, None)
    assert not memory.read(size, memory.size - size).any()


def test_a_channel_that_stops_is_named(machine, memory):
    driver = Driver(machine, PROGRAM, memory)
    image = driver.image
    memory.fail([buffer_places(image)[0][Buffer.WEIGHTS]])
    with pytest.raises(
        NoMulError, match=r"TRANSFER at instruction \d+, channel \d with READ_SLVERR; check that"
    ):
        driver.run_codes(CODES[0])
    memory.fail([])
    # The same driver goes on; so it does behind a stop in mid-run.
    for wait in (0, 40, 300):
        output, _ = driver.run_codes(CODES[1])
        np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][1])
        driver.go_on(Control.START, 0)
        machine.tick(wait)
        driver.set(Register.CONTROL, Control.STOP)
    short = tuple(
        dataclasses.replace(room, size=BEAT if room.buffer is Buffer.FEATURES else room.size)
        for room in image.buffers
    )
    with pytest.raises(NoMulError, match=r"with OUTSIDE_BUFFER; the program is damaged, compile"):
        Accelerator(machine, dataclasses.replace(image, buffers=short), memory).run_codes(CODES[0])
    output, _ = Driver(machine, PROGRAM, memory).run_codes(CODES[1])
    np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][1])


def test_a_slow_memory_is_not_taken_for_a_machine_that_hangs(machine, memory):
    memory.percent, memory.latency = 5, 400
    output, cycles = Driver(machine, PROGRAM, memory).run_codes(CODES[1])
    assert cycles > Accelerator.MARGIN * PROGRAM.cycles
    np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][1])


class Bytes:
    """A memory in an array."""

    def __init__(self, base=1 << 20, size=1 << 20):
        self.base, self.size = base, size
        self.content = np.zeros(min(size, 1 << 20), np.uint8)

    def write(self, offset, content):
        assert offset % BEAT == 0
        self.content[offset : offset + content.nbytes] = content.reshape(-1).view(np.uint8)

    def read(self, offset, count):
        assert offset % BEAT == 0
        return self.content[offset : offset + count]


class Silent:
    """A machine that answers with its registers, and whose channels never come to rest."""

    def read(self, address, count):
        words = {Register.ID: ID, Register.FINGERPRINT: ARCH.fingerprint}
        return np.array([words.get(address + n, 0) for n in range(count)], np.uint32)

    def write(self, address, words):
        pass

    def idle(self):
        pass


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (None, r"needs \d+ bytes of external memory; give the driver a memory"),
        (Bytes(size=PAGE), r"needs \d+ bytes of external memory, there are 4096; reserve"),
        (Bytes(base=8), r"external memory at 0x8: the machine takes multiples of 4096"),
        (Bytes(base=(1 << 32) - PAGE), r"external memory at 0xfffff000: .* up to 0xffff"),
        (Bytes(), "ports do not come to rest; check that external memory answers"),
    ],
)
def test_memory_that_does_not_do(monkeypatch, memory, message):
    monkeypatch.setattr(Accelerator, "LOOKS", 3)
    with pytest.raises(NoMulError, match=message):
        Accelerator(Silent(), image_of(PROGRAM), memory)


@pytest.mark.parametrize("lanes, bits", [(4, 8), (5, 8), (8, 8), (9, 8), (16, 8), (20, 8), (5, 4)])
def test_feature_words_of_any_width(lanes, bits):
    """Whole beats outside, a power of two of pieces at the host's port."""
    beats = -(-lanes * bits // 64)
    rooms = tuple(
        Room(buffer, size, np.zeros(0, np.uint32))
        for buffer, size in ((Buffer.WEIGHTS, 24), (Buffer.FEATURES, 100 * beats * BEAT))
    )
    image = dataclasses.replace(
        image_of(PROGRAM), lanes=lanes, bits=bits, beats=beats, buffers=rooms
    )
    memory = Bytes()
    buffers = Buffers(memory, image)
    codes = np.random.default_rng(lanes).integers(0, 1 << bits, (10, lanes))
    words = pack(codes, bits)
    buffers.write_features(7, words)
    np.testing.assert_array_equal(buffers.read_features(7, 10), words)
    first = PAGE + 7 * beats * BEAT
    # The lowest bits come first.
    whole = int.from_bytes(memory.content[first : first + beats * BEAT].tobytes(), "little")
    assert whole == sum(code << bits * lane for lane, code in enumerate(codes[0].tolist()))
    assert (
        not memory.content[:first].any() and not memory.content[first + 10 * beats * BEAT :].any()
    )


def test_registers_say_where_buffers_stand():
    buffers = Buffers(Bytes(base=5 * PAGE), image_of(PROGRAM))
    registers = [(address - (DMA_REGION << REGION_SHIFT), v) for address, v in buffers.registers()]
    sizes = [room.size for room in buffers.image.buffers]
    assert sizes[0] == 8 * len(PROGRAM.instructions)
    pages = np.cumsum([5, *(-(-size // PAGE) for size in sizes)]).tolist()
    expected = []
    for n, (size, page) in enumerate(zip(sizes, pages)):
        expected += [(BUFFERS + 2 * n, page * PAGE), (BUFFERS + 2 * n + 1, size)]
    assert registers == expected
    assert buffer_places(buffers.image)[1] == (pages[-1] - 5) * PAGE
