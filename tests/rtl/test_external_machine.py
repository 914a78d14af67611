"""Machines with external memory on programs of the compiler: results, recovery, errors."""

import dataclasses

import numpy as np

from compiler.compile import compile
from quant.graph import Window
from quant.reference import run_reference
from rtl.dma.registers import DMA_REGION, MarkRegister, mark_address
from rtl.isa import Opcode, Waited, decode, encode
from rtl.registers import REGION_SHIFT, Control, Error, Register, State
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_codes
from tests.rtl.external_bench import BASES, ExternalBench

ARCH = small_machine(patience=1 << 10, feature_words=64, instruction_words=64)


def network():
    """A convolution, a maximum, and another convolution, in several tiles each."""
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


async def check_marks(ctx, bench):
    """Those of all layers follow each other to the end; a layer that is joined has none."""
    marked = [index for index, layer in enumerate(PROGRAM.layers) if layer.kept]
    words = map(decode, PROGRAM.instructions.tolist())
    assert marked == [word.fields["index"] for word in words if word.opcode is Opcode.MARK]
    before = 0, 0
    for index in marked:
        cycles, waits = [
            await bench.read(ctx, (DMA_REGION << REGION_SHIFT) + mark_address(index, register))
            for register in MarkRegister
        ]
        assert cycles - before[0] > waits - before[1] > 0
        before = cycles, waits
    total = await bench.read(ctx, Register.CYCLES)
    assert total - 2 * PROGRAM.architecture.memory.instruction_words < before[0] < total


def changed(opcode, number=0, **fields):
    """The program with another field in an instruction."""
    words = PROGRAM.instructions.tolist()
    places = [pc for pc, word in enumerate(words) if decode(word).opcode is opcode]
    at = places[number]
    words[at] = encode(opcode, **decode(words[at]).fields | fields)
    return dataclasses.replace(PROGRAM, instructions=np.array(words, np.uint64))


DAMAGED = {
    "offset": (changed(Opcode.TARGET, offset=(1 << 29) - 1), Error.TRANSFER),
    "buffer": (changed(Opcode.TARGET, buffer=9), Error.TRANSFER),
    "address": (changed(Opcode.MOVE, address=1 << 20), Error.TRANSFER),
    "region": (changed(Opcode.MOVE, region=7), Error.TRANSFER),
    "length": (changed(Opcode.CHECK, length=20), Error.NO_HALT),
    "wait": (changed(Opcode.WAIT, -1, what=Waited.CHANNEL_1, count=1 << 22), Error.STUCK),
}


def test_a_network_through_slow_ports():
    assert len(PROGRAM.instructions) > ARCH.memory.instruction_words
    bench = ExternalBench(PROGRAM, latency=40, stall=0.3)
    bench.put_input(CODES[0])

    async def main(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.HALTED, Error.NONE)
        assert await bench.read(ctx, Register.RUNS) == PROGRAM.layers[-1].runs_done
        await check_marks(ctx, bench)

    bench.run(main)
    check(bench)


def test_what_goes_wrong_and_that_the_next_program_runs():
    """Stops at any time, damaged programs, a bus error: an error code, and right answers behind it.

    One simulation, because the machine takes longer to set up than to run.
    """
    bench = ExternalBench(PROGRAM, latency=7, stall=0.1)
    found = {}

    async def stop(ctx):
        await bench.write(ctx, Register.CONTROL, Control.STOP)
        await bench.quiet(ctx)
        assert await bench.read(ctx, Register.STATUS) & 0xFF == State.IDLE

    async def fails(ctx, name, program):
        bench.replace(program)
        await bench.load(ctx)
        await bench.start(ctx)
        found[name] = await bench.wait(ctx)
        assert await bench.read(ctx, Register.PC) < len(program.instructions)
        await stop(ctx)

    async def main(ctx):
        for cycles in (30, 171, 412):
            bench.replace(PROGRAM)
            await bench.load(ctx)
            await bench.start(ctx)
            await ctx.tick().repeat(cycles)
            await stop(ctx)
        for name, (program, _) in DAMAGED.items():
            await fails(ctx, name, program)
        for memory in bench.memories:
            memory.errors = {BASES[1] // 8: 2}
        await fails(ctx, "bus", PROGRAM)
        for memory in bench.memories:
            memory.errors = {}
        bench.put_input(CODES[0])
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.HALTED, Error.NONE)

    bench.run(main)
    check(bench)
    expected = {name: (State.FAILED, error) for name, (_, error) in DAMAGED.items()}
    assert found == expected | {"bus": (State.FAILED, Error.TRANSFER)}
    # Nothing but the buffers was read or written.
    spans = [(base // 8, base // 8 + bench.sizes[buffer]) for buffer, base in BASES.items()]
    for memory in bench.memories:
        for _, first, beats in memory.bursts:
            assert any(low <= first and first + beats <= high for low, high in spans)
