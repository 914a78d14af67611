"""The driver as boards use it, on the RTL of a machine behind its AXI4-Lite port."""

import dataclasses

import numpy as np
import pytest

from boards.accelerator import Accelerator
from boards.driver import image_of
from boards.image import Image
from compiler.compile import compile
from compiler.program import Program
from quant.errors import NoMulError
from quant.numbers import dequantize
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.design import Design
from rtl.peripheral import Peripheral
from rtl.registers import Control, Register
from sim.compiled import CompiledModel
from tests.random_networks import random_codes, random_network

SEED = 3


@pytest.fixture(scope="module")
def machine() -> CompiledModel:
    model = CompiledModel.build(Design(Peripheral, (load_architecture("tiny"),), "peripheral"))
    model.reset()
    return model


@pytest.fixture(scope="module")
def network() -> tuple[Program, np.ndarray, np.ndarray]:
    """A program, codes of three images and of their outputs."""
    graph = random_network(SEED)
    codes = random_codes(graph, 3, np.random.default_rng(SEED))
    program = compile(graph, "tiny")
    return program, codes, run_reference(graph, codes)[program.output.name]


def stored(program: Program) -> Image:
    """The image as a board reads it."""
    return Image.from_bytes(image_of(program).to_bytes())


def test_images_in_and_out(machine, network):
    program, codes, outputs = network
    accelerator = Accelerator(machine, stored(program))
    found = accelerator.run(dequantize(codes, program.input.format.fraction))
    np.testing.assert_array_equal(found, dequantize(outputs, program.output.format.fraction))


def test_the_cycles_are_the_predicted(machine, network):
    program, codes, outputs = network
    output, cycles = Accelerator(machine, stored(program)).run_codes(codes[0])
    np.testing.assert_array_equal(output, outputs[0])
    assert cycles == program.cycles


@pytest.mark.parametrize("cycles", (1, 60, 200, 500))
def test_a_driver_that_was_killed_in_mid_run(machine, network, cycles):
    """The next one finds the machine running, half loaded, or with a word half written."""
    program, codes, outputs = network
    first = Accelerator(machine, stored(program))
    first.write_input(codes[0])
    first.set(Register.INTERRUPT, 1)
    first.go_on(Control.START, stop_after=1)
    machine.tick(cycles)
    # Killed while it was loading: a part of the instructions is another program's.
    first.set(Register.CONTROL, Control.STOP)
    load = first.image.loads[0]
    first.write(load.region, 0, np.full((3, 2), 0xFFFFFFFF, np.uint32))
    machine.write(int(load.region) << 23, np.array([5], np.uint32))
    del first
    second = Accelerator(machine, stored(program))
    for image, expected in zip(codes, outputs, strict=True):
        output, found = second.run_codes(image)
        np.testing.assert_array_equal(output, expected)
        assert found == program.cycles


def test_the_interrupt_comes_with_the_end(machine, network):
    program, codes, _ = network
    accelerator = Accelerator(machine, stored(program))
    accelerator.write_input(codes[0])
    accelerator.go_on(Control.START, stop_after=0)
    accelerator.set(Register.INTERRUPT, 1)
    assert not machine.get("irq")
    passed = machine.run_until("irq", 1, 1, 2 * program.cycles)
    assert 0 < passed <= program.cycles
    accelerator.set(Register.INTERRUPT, 0)
    machine.tick(4)
    assert not machine.get("irq")


def test_another_machine(machine, network):
    image = dataclasses.replace(stored(network[0]), fingerprint=7)
    with pytest.raises(NoMulError, match="the program was made for 0x00000007"):
        Accelerator(machine, image)


def test_wrong_images(machine, network):
    accelerator = Accelerator(machine, stored(network[0]))
    shape = accelerator.image.input.shape
    with pytest.raises(NoMulError, match=rf"images have the shape \(1, {shape[0] + 1}, .* takes"):
        accelerator.run(np.zeros((1, shape[0] + 1, *shape[1:])))
    with pytest.raises(NoMulError, match="not finite"):
        accelerator.run(np.full((1, *shape), np.nan))


def test_nobody_answers(network):
    class Nobody:
        def read(self, address, count):
            return np.full(count, 0xFFFFFFFF, np.uint32)

    with pytest.raises(NoMulError, match=r"no NoMul machine answers .found 0xffffffff."):
        Accelerator(Nobody(), stored(network[0]))
