"""The driver with external memory: on the RTL, and what it refuses."""

import dataclasses

import numpy as np
import pytest

from boards.accelerator import Accelerator as Machine
from boards.buffers import PAGE, buffer_places
from boards.driver import Driver, image_of
from boards.image import Image
from compiler.compile import compile
from quant.errors import NoMulError
from quant.graph import Window
from quant.reference import run_reference
from rtl.accelerator import Accelerator
from rtl.dma.registers import BEAT, Buffer
from rtl.registers import ID, Control, Register
from sim.interpreted import InterpretedModel
from tests.external import BeatMemory, small_machine
from tests.random_networks import NetworkBuilder, random_codes
from tests.rtl.axi.memory import AxiMemory

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
def board():
    """A machine in Amaranth's simulator, the memory at its ports, and the ports' models."""
    memory, dut = BeatMemory(), Accelerator(ARCH)
    ports = [
        AxiMemory(getattr(dut, f"axi_{n}"), ARCH.channels.axi, memory.beats, seed=n, stall=0.1)
        for n in range(2)
    ]
    return InterpretedModel(dut, "small", [port.run for port in ports]), memory, ports


def test_every_kept_layer_on_the_rtl(board):
    machine, memory, ports = board
    assert len(PROGRAM.instructions) > ARCH.memory.instruction_words
    image = Image.from_bytes(image_of(PROGRAM).to_bytes())
    places, size = buffer_places(image)
    driver = Driver(machine, PROGRAM, memory)
    seen = {}
    output, _ = driver.trace(CODES[0], seen.__setitem__)
    np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][0])
    assert list(seen) == [layer.name for layer in PROGRAM.layers if layer.kept]
    assert seen
    for name, codes in seen.items():
        np.testing.assert_array_equal(codes, EXPECTED[name][0], err_msg=name)
    # What stays of a driver that was killed in mid-run is in nobody's way.
    driver.go_on(Control.START, 0)
    machine.tick(150)
    output, _ = Machine(machine, image, memory).run_codes(CODES[1])
    np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][1])
    spans = [
        ((memory.base + places[room.buffer]) // BEAT, room.size // BEAT) for room in image.buffers
    ]
    for port in ports:
        assert port.bursts
        for _, first, beats in port.bursts:
            assert any(low <= first and first + beats <= low + most for low, most in spans)
    assert max(memory.beats) < (memory.base + size) // BEAT


def test_a_channel_that_stops_is_named(board):
    machine, memory, ports = board
    driver = Driver(machine, PROGRAM, memory)
    for port in ports:
        port.errors = {memory.base // BEAT + PAGE // BEAT: 3}
    with pytest.raises(
        NoMulError, match=r"TRANSFER at instruction \d+, channel \d with READ_DECERR; check that"
    ):
        driver.run_codes(CODES[0])
    for port in ports:
        port.errors = {}
    image = driver.image
    short = [
        dataclasses.replace(room, size=BEAT if room.buffer is Buffer.FEATURES else room.size)
        for room in image.buffers
    ]
    wrong = dataclasses.replace(image, buffers=tuple(short))
    with pytest.raises(NoMulError, match=r"with OUTSIDE_BUFFER; the program is damaged, compile"):
        Machine(machine, wrong, memory).run_codes(CODES[0])
    output, _ = Driver(machine, PROGRAM, memory).run_codes(CODES[1])
    np.testing.assert_array_equal(output, EXPECTED[PROGRAM.output.name][1])
    assert driver.get(Register.RUNS) == PROGRAM.layers[-1].runs_done


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
        (BeatMemory(size=PAGE), r"needs \d+ bytes of external memory, there are 4096; reserve"),
        (BeatMemory(base=8), r"external memory at 0x8: the machine takes multiples of 4096"),
        (BeatMemory(base=(1 << 32) - PAGE), r"external memory at 0xfffff000: .* up to 0xffff"),
        (BeatMemory(), "ports do not come to rest; check that external memory answers"),
    ],
)
def test_memory_that_does_not_do(monkeypatch, memory, message):
    monkeypatch.setattr(Machine, "LOOKS", 3)
    with pytest.raises(NoMulError, match=message):
        Machine(Silent(), image_of(PROGRAM), memory)
