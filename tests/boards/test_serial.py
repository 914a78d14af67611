"""The driver's serial transport at the RTL of a machine behind a serial line."""

import numpy as np
import pytest

from boards.accelerator import Accelerator
from boards.driver import image_of
from boards.ecp5_system import SerialMachine, pll_parameters
from boards.transports import Serial
from compiler.compile import compile
from quant.errors import NoMulError
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.design import Design
from rtl.registers import ID, Control, Register
from rtl.serial import Code
from sim.compiled import CompiledModel
from tests.random_networks import random_codes, random_network

DIVISOR, SILENCE = 5, 500


class Line:
    """A serial line to the simulated machine, with the methods of pyserial that are used."""

    def __init__(self, machine: CompiledModel) -> None:
        self.machine = machine

    def write(self, content: bytes) -> None:
        for number, byte in enumerate(content):
            for bit in (0, *(byte >> i & 1 for i in range(8))):
                self.machine.set("receive", bit)
                self.machine.tick(DIVISOR)
            self.machine.set("receive", 1)
            # An answer begins within the last stop bit.
            if number + 1 < len(content):
                self.machine.tick(DIVISOR)

    def read(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            try:
                self.machine.run_until("transmit", 1, 0, 3 * SILENCE)
            except TimeoutError:
                break
            self.machine.tick(DIVISOR // 2)
            byte = 0
            for bit in range(8):
                self.machine.tick(DIVISOR)
                byte |= self.machine.get("transmit") << bit
            self.machine.tick(DIVISOR)
            assert self.machine.get("transmit") == 1  # the stop bit
            found.append(byte)
        return bytes(found)

    def reset_input_buffer(self) -> None:
        self.machine.tick(2 * SILENCE)


@pytest.fixture(scope="module")
def machine() -> CompiledModel:
    design = Design(SerialMachine, (load_architecture("tiny"), DIVISOR, SILENCE), "serial_machine")
    model = CompiledModel.build(design)
    model.set("receive", 1)
    model.reset()
    return model


@pytest.fixture
def line(machine, monkeypatch) -> Line:
    monkeypatch.setattr(Serial, "SILENCE", 0)
    return Line(machine)


def test_a_network(line):
    graph = random_network(3)
    codes = random_codes(graph, 2, np.random.default_rng(3))
    program = compile(graph, "tiny")
    accelerator = Accelerator(Serial("simulated", 1, line), image_of(program))
    outputs = run_reference(graph, codes)[program.output.name]
    for image, expected in zip(codes, outputs, strict=True):
        output, cycles = accelerator.run_codes(image)
        np.testing.assert_array_equal(output, expected)
        assert cycles == program.cycles


@pytest.mark.parametrize("count", (2, 254, 256, 258, 600))
def test_blocks_of_any_length(line, count):
    port = Serial("simulated", 1, line)
    words = np.random.default_rng(count).integers(0, 1 << 32, count, np.uint32)
    port.write(1 << 23, words)
    np.testing.assert_array_equal(port.read(1 << 23, count), words)
    assert len(port.read(0, 0)) == 0


@pytest.mark.parametrize("size", range(1, 14))
def test_a_command_that_was_cut_off(line, size):
    port = Serial("simulated", 1, line)
    command = bytes([Code.WRITE, 1]) + (1 << 23).to_bytes(4, "little") + bytes(range(8))
    line.write(command[:size])
    assert Serial("simulated", 1, line).read(0, 1)[0] == ID
    # A read whose answer nobody took.
    line.write(port.command(Code.READ, 0, 20))
    line.machine.tick(30 * DIVISOR)
    line.machine.tick(80 * 10 * DIVISOR)
    assert Serial("simulated", 1, line).read(0, 1)[0] == ID


def test_an_unknown_command_and_what_follows_it(line):
    # What follows looks like a start of the machine.
    start = bytes([Code.WRITE, 0, Register.CONTROL, 0, 0, 0, Control.START, 0, 0, 0])
    line.write(b"\x00")
    assert line.read(1) == bytes([Code.REFUSED])
    line.write(start)
    assert line.read(1) == b""
    line.reset_input_buffer()
    assert Serial("simulated", 1, line).read(Register.STATUS, 1)[0] & 0xFF in (0, 3)


def test_nobody_answers():
    class Dead:
        def write(self, content):
            pass

        def read(self, count):
            return b""

        def reset_input_buffer(self):
            pass

    with pytest.raises(NoMulError, match="/dev/ttyX sent 0 of 4 bytes; check the cable"):
        Serial("/dev/ttyX", 1, Dead()).read(0, 1)


@pytest.mark.parametrize("wanted", (25, 40, 50, 62.5, 75, 100))
def test_dividers_of_the_pll(wanted):
    found = pll_parameters(25, wanted)
    assert 25 / found["CLKI_DIV"] * found["CLKFB_DIV"] == wanted
    assert 400 <= wanted * found["CLKOP_DIV"] <= 800


def test_no_dividers():
    with pytest.raises(NoMulError, match=r"no dividers make 33\.3 MHz of 25 MHz; take a multiple"):
        pll_parameters(25, 33.3)
