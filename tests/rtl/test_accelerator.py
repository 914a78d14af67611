"""The whole machine on programs written by hand: results against numpy, cycles against the docs."""

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.accelerator import Accelerator
from rtl.isa import VERSION, Opcode, encode
from rtl.registers import ID, Control, Error, Register, State
from tests.rtl.machine_programs import (
    ARCH,
    BITS,
    HALT,
    LANES,
    Convolution,
    Host,
    added,
    addition,
    architecture,
    check,
    codes,
    largest,
    max_pool,
    run_program,
)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "vector_words, groups, split, blocks, stride, weights",
    [
        (1, 1, 0, 1, 1, "w3"),
        (2, 2, 0, 2, 2, "w4"),
        (3, 2, 0, 1, 1, "w4r"),
        (3, 2, 1, 2, 1, "w3"),
        (4, 4, 0, 1, 1, "log4"),
        (3, 4, 1, 1, 2, "w4"),
    ],
)
def test_convolution(vector_words, groups, split, blocks, stride, weights, signed):
    arch = architecture(vector_words, groups, weights)
    host = Host(arch)
    layer = Convolution(arch, 1, signed, 0, 120, blocks=blocks, split=split, stride=stride)
    layer.load(host)
    run_program(host, arch, [(layer.program, layer.duration)])
    layer.check(host)
    assert host.get(Register.RUNS) == 1


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("height, width", [(4, 6), (3, 5), (1, 2)])
def test_max_pool(signed, groups, height, width):
    arch = architecture(groups=groups)
    host = Host(arch)
    picture = codes(np.random.default_rng(height), (height, width, groups * LANES), signed)
    host.put(5, picture.reshape(-1, LANES))
    host.parameters(3, np.zeros((1, LANES), int), np.zeros((1, LANES), int))
    run_program(host, arch, [max_pool(5, 140, height, width, signed, groups, 3)])
    expected = largest(picture, signed)
    assert np.array_equal(host.take(140, len(expected)), expected & (1 << BITS) - 1)


@pytest.mark.parametrize("signed", [0, 1])
def test_residual_addition(signed):
    """With shift 2 of the sum and right 1: the residual counts four times."""
    host = Host()
    rng = np.random.default_rng(7)
    a, b = codes(rng, (12, LANES), signed), codes(rng, (12, LANES), signed)
    host.put(0, a)
    host.put(90, b)
    host.parameters(5, np.zeros((1, LANES), int), np.full((1, LANES), 2))
    run_program(host, ARCH, [addition(0, 90, 20, 12, signed, 5)])
    assert np.array_equal(host.take(20, 12), added(a, b, signed))


def test_a_full_queue_holds_vectors_back():
    """A copy finishes a word a cycle, post-processing takes two: none is lost or late."""
    arch = architecture(queue_words=16)
    host = Host(arch)
    a = codes(np.random.default_rng(1), (100, LANES))
    host.put(0, a)
    host.put(100, 0 * a)
    host.parameters(5, np.zeros((1, LANES), int), np.full((1, LANES), 2))
    run_program(host, arch, [addition(0, 100, 100, 100, 0, 5)])
    assert np.array_equal(host.take(100, 100), added(a, 0 * a, 0))


def network():
    """A convolution, a pool of its output, and an addition of both: one program."""
    layer = Convolution(ARCH, 3, False, 0, 100)
    pool = max_pool(100, 40, 4, 5, 1, 2, 3)
    add = addition(40, 100, 60, 12, 1, 4)
    picture = layer.output.reshape(4, 5, 2 * LANES)
    result = added(largest(picture, 1)[:12], layer.output[:12], 1)
    return layer, [(layer.program, layer.duration), pool, add], result


def load_network(host, layer):
    layer.load(host)
    host.parameters(3, np.zeros((2, LANES), int), np.array([[0] * LANES, [2] * LANES]))


def test_program_of_several_runs():
    host = Host()
    layer, layers, result = network()
    load_network(host, layer)
    # Again and again, with the same result in the same time.
    for _ in range(2):
        run_program(host, ARCH, layers)
        layer.check(host)
        assert np.array_equal(host.take(60, 12), result)
        host.put(40, np.zeros((100, LANES), np.int64))
    # Run by run: what each has written can be read, and the cycles are the same.
    expected = host.get(Register.CYCLES)
    control = Control.START
    for ended in (1, 2, 3):
        host.set(Register.STOP_AFTER, ended)
        host.set(Register.CONTROL, control)
        control = Control.RESUME
        assert host.wait()[0] is State.PAUSED
        assert host.get(Register.RUNS) == ended
        layer.check(host)
        assert np.array_equal(host.take(60, 12), result) == (ended == 3)
    host.set(Register.STOP_AFTER, 0)
    host.set(Register.CONTROL, Control.RESUME)
    assert host.wait() == (State.HALTED, Error.NONE, expected)


@pytest.mark.parametrize("after", [3, 60, 75, 100, 333])
def test_stop_and_start_again(after):
    """A stop at any moment leaves a machine that runs the next program as if new."""
    host = Host()
    layer, layers, result = network()
    load_network(host, layer)
    host.load([check(ARCH), *(word for words, _ in layers for word in words), HALT])
    host.set(Register.CONTROL, Control.START)
    host.model.tick(after)
    host.set(Register.CONTROL, Control.STOP)
    host.model.tick()
    assert host.wait() == (State.IDLE, Error.NONE, 0)
    run_program(host, ARCH, layers)
    assert np.array_equal(host.take(60, 12), result)


def test_identity_and_refusal():
    host = Host()
    assert host.model.read(0, 3).tolist() == [ID, VERSION, ARCH.fingerprint]
    host.load(
        [encode(Opcode.CHECK, version=VERSION, fingerprint=ARCH.fingerprint ^ 1, length=0), HALT]
    )
    assert host.start()[:2] == (State.FAILED, Error.WRONG_MACHINE)
    assert host.get(Register.PC) == 0
    host.load([check(ARCH), HALT])
    assert host.start() == (State.HALTED, Error.NONE, 4)


@pytest.mark.parametrize("groups, vector_words", [(1, 1), (2, 3), (4, 4)])
def test_conversion(groups, vector_words):
    rtlil.convert(Accelerator(architecture(vector_words, groups)))
