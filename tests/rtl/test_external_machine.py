"""Machines with external memory on programs of the compiler: results, recovery, errors."""

import dataclasses

import numpy as np
import pytest

from compiler.compile import compile
from quant.graph import Window
from quant.reference import run_reference
from rtl.isa import Opcode, Waited, decode, encode
from rtl.registers import Control, Error, Register, State
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_codes
from tests.rtl.external_bench import BASES, ExternalBench

ARCH = small_machine(feature_words=64, instruction_words=64)


def network():
    """A convolution, a maximum that it is joined to, and another one, in several tiles each."""
    net = NetworkBuilder((5, 6, 6), np.random.default_rng(2), weight_bits=2)
    x = net.conv("input", 9, Window((3, 3), padding=(1, 1, 1, 1)))
    x = net.max_pool(x, Window((2, 2), (2, 2)))
    net.conv(x, 12, Window((3, 3), padding=(1, 1, 1, 1)))
    return net.graph("tiles")


GRAPH = network()
PROGRAM = compile(GRAPH, ARCH)
CODES = random_codes(GRAPH, 1, np.random.default_rng(3))
EXPECTED = run_reference(GRAPH, CODES)


def check(bench):
    kept = [layer for layer in PROGRAM.layers if layer.kept]
    assert kept
    for layer in kept:
        assert np.array_equal(bench.take(layer.output), EXPECTED[layer.name][0]), layer.name


def changed(opcode, number=0, **fields):
    """The program with another field in an instruction."""
    words = PROGRAM.instructions.tolist()
    places = [pc for pc, word in enumerate(words) if decode(word).opcode is opcode]
    at = places[number]
    words[at] = encode(opcode, **decode(words[at]).fields | fields)
    return dataclasses.replace(PROGRAM, instructions=np.array(words, np.uint64))


@pytest.mark.parametrize("latency, stall", [(1, 0.0), (40, 0.3)])
def test_a_network_through_the_ports(latency, stall):
    assert len(PROGRAM.instructions) > ARCH.memory.instruction_words
    assert len(decode(int(PROGRAM.instructions[0])).fields) == 3
    bench = ExternalBench(PROGRAM, latency, stall)
    bench.put_input(CODES[0])

    async def main(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.HALTED, Error.NONE)
        assert await bench.read(ctx, Register.RUNS) == PROGRAM.layers[-1].runs_done

    bench.run(main)
    check(bench)


def test_a_stop_at_any_time_recovers():
    """Stopped after some cycles, started again when the channels are idle: right answers."""
    bench = ExternalBench(PROGRAM, 7, 0.1)
    bench.put_input(CODES[0])

    async def main(ctx):
        for cycles in (30, 171, 412):
            await bench.load(ctx)
            await bench.start(ctx)
            await ctx.tick().repeat(cycles)
            await bench.write(ctx, Register.CONTROL, Control.STOP)
            await bench.quiet(ctx)
            assert await bench.read(ctx, Register.STATUS) & 0xFF == State.IDLE
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.HALTED, Error.NONE)

    bench.run(main)
    check(bench)


@pytest.mark.parametrize(
    "program, error",
    [
        (changed(Opcode.TARGET, offset=(1 << 29) - 1), Error.TRANSFER),
        (changed(Opcode.TARGET, buffer=9), Error.TRANSFER),
        (changed(Opcode.MOVE, address=1 << 20), Error.TRANSFER),
        (changed(Opcode.MOVE, region=7), Error.TRANSFER),
        (changed(Opcode.CHECK, length=20), Error.NO_HALT),
    ],
    ids=["offset", "buffer", "address", "region", "length"],
)
def test_a_damaged_program_stops_and_the_next_runs(program, error):
    bench = ExternalBench(program)
    bench.put_input(CODES[0])
    outside = set()

    async def main(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.FAILED, error)
        assert await bench.read(ctx, Register.PC) < len(program.instructions)
        await bench.write(ctx, Register.CONTROL, Control.STOP)
        await bench.quiet(ctx)
        outside.update(beat for memory in bench.memories for _, beat, _ in memory.bursts)
        bench.program = PROGRAM
        bench.put(0, 0, PROGRAM.instructions.astype("<u8").view("<u4").reshape(-1, 2))
        bench.put_input(CODES[0])
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.HALTED, Error.NONE)

    bench.run(main)
    check(bench)
    spans = [(base // 8, base // 8 + bench.sizes[buffer]) for buffer, base in BASES.items()]
    assert all(any(low <= beat < high for low, high in spans) for beat in outside)


def test_a_bus_error_stops_the_program():
    bench = ExternalBench(PROGRAM, errors={BASES[1] // 8: 2})
    bench.put_input(CODES[0])

    async def main(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.FAILED, Error.TRANSFER)

    bench.run(main)


def test_a_wait_that_cannot_end(monkeypatch):
    monkeypatch.setattr("rtl.sequencer.PATIENCE", 511)
    program = changed(Opcode.WAIT, -1, what=Waited.CHANNEL_1, count=1 << 22)
    bench = ExternalBench(program)
    bench.put_input(CODES[0])

    async def main(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.FAILED, Error.STUCK)

    bench.run(main)
