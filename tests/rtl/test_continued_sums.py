"""Runs that continue the sums of those before, on the whole machine: results, and exact cycles."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compiler import mapping
from compiler.compile import compile
from compiler.cycles import predict
from compiler.front import prepare_for
from compiler.settings import Run, execute
from compiler.tiling.boxes import Box
from compiler.tiling.chunks import Mapped, TileEmitter
from compiler.tiling.paging import paged
from compiler.tiling.tasks import slices_of, task_of
from quant.graph import Window
from quant.reference import run_reference
from rtl.isa import Opcode
from rtl.registers import REGION_SHIFT, Error, Region, State
from tests.external import small_machine
from tests.machines import convolver, machine
from tests.random_networks import NetworkBuilder, random_codes
from tests.rtl.external_bench import ExternalBench
from tests.rtl.machine_programs import Host

PADDED = Window((3, 3), padding=(1, 1, 1, 1))
SIZES: dict[str, Any] = {
    "feature_words": 512,
    "weight_words": 2048,
    "parameter_words": 16,
    "accumulator_words": 64,
    "queue_words": 32,
    "instruction_words": 512,
}


def external(base):
    return replace(base, external=small_machine().external)


MACHINES = {
    "one group": external(machine(4, 1, 1, "w4", **SIZES)),
    "two groups": external(machine(4, 3, 2, "w3", **SIZES)),
    "convolver": external(convolver("svpe", 4, 1, 2, line_words=16, **SIZES)),
}


def one_layer(shape, outputs, window, residual=False):
    """A convolution of weights that need several passes, in some of its slices more."""
    net = NetworkBuilder(shape, np.random.default_rng(outputs), weight_bits=5)
    net.conv("input", outputs, window, residual="input" if residual else None)
    layer = net.layers[0]
    layer.weight[:, : shape[0] // 2] = np.sign(layer.weight[:, : shape[0] // 2])
    return net.graph()


def program_of(arch, graph, count):
    """A layer in slices without any transfer, and what stands in the memories before it."""
    prepared = prepare_for(graph, arch)
    (step,) = prepared.steps
    layout = prepared.tensors[step.layer.name].layout
    box = Box(0, graph.layers[0].shape[1], 0, graph.layers[0].shape[2], 0, layout.blocks)
    tasks = slices_of(task_of(prepared, step, box), arch.vector_words, count)
    emitter = TileEmitter(arch)
    mapper = Mapped(mapping.find(arch.engine).map_convolution)
    addresses = (3,) * len(tasks[0].inputs)
    target = 3 + tasks[0].inputs[0].words
    weights = []
    for task in tasks:
        mapper.shape = task.shape
        emitter.places = {Region.WEIGHTS: sum(map(len, weights))}
        emitter.tile(task, addresses, target, mapper)
        weights.append(emitter.found[Region.WEIGHTS])
    emitter.append(Opcode.HALT, {})
    source = replace(tasks[0].inputs[0], part=None).placed(3)
    images = {
        Region.WEIGHTS: np.concatenate(weights),
        Region.PARAMETERS: emitter.found[Region.PARAMETERS],
    }
    words = paged(emitter.instructions, arch.memory.instruction_words)
    return words, images, source, tasks[-1].output.placed(target)


LAYERS = [
    # Fully connected: even and uneven slices of the map's words; several blocks of outputs.
    ((8, 2, 2), 13, Window((2, 2)), 2),
    ((11, 3, 2), 5, Window((3, 2)), 4),
    # Slices of channels, of a map with padding; with a residual.
    ((24, 2, 3), 6, PADDED, 2),
    ((16, 2, 3), 16, PADDED, 2),
]
"""Shape of the input, outputs, window and slices."""


@pytest.mark.parametrize("name", MACHINES)
def test_slices_take_the_cycles_that_are_predicted(name):
    """One after another: what the accumulators hold from before does not matter."""
    arch = MACHINES[name]
    host = Host(arch)
    for shape, outputs, window, count in LAYERS:
        graph = one_layer(shape, outputs, window, residual=shape[0] == outputs)
        codes = random_codes(graph, 1, np.random.default_rng(0))
        words, images, source, output = program_of(arch, graph, count)
        runs = [event for event in execute(arch, words) if isinstance(event, Run)]
        assert len(runs) > sum(run.fields["continues"] for run in runs) >= 1
        features = source.to_words(codes, arch.activation_bits)[0]
        assert features.shape[1] == 1
        host.load(words)
        host.write(Region.FEATURES, 3, features)
        for region, image in images.items():
            host.write(region, 0, image)
        assert host.start() == (State.HALTED, Error.NONE, predict(arch, words).total)
        found = host.model.read((Region.FEATURES << REGION_SHIFT) + output.address, output.words)
        found = output.from_words(found.reshape(1, -1, 1), arch.activation_bits)
        assert np.array_equal(found, run_reference(graph, codes)[graph.output])


def test_a_wide_layer_from_external_memory():
    """A fully connected layer and a convolution whose blocks do not fit the weight memory."""
    net = NetworkBuilder((16, 3, 3), np.random.default_rng(5), weight_bits=2)
    x = net.conv("input", 9, PADDED)
    net.conv(x, 11, Window((3, 3)))
    graph = net.graph("wide")
    arch = small_machine(
        patience=1 << 10, feature_words=128, weight_words=144, instruction_words=128
    )
    program = compile(graph, arch)
    runs = [
        event.layer
        for event in execute(arch, program.instructions.tolist())
        if isinstance(event, Run) and event.fields["continues"]
    ]
    assert {*runs} == {0, 1}
    codes = random_codes(graph, 1, np.random.default_rng(6))
    expected = run_reference(graph, codes)
    bench = ExternalBench(program, latency=23, stall=0.2)
    bench.put_input(codes[0])

    async def main(ctx):
        await bench.load(ctx)
        await bench.start(ctx)
        assert await bench.wait(ctx) == (State.HALTED, Error.NONE)

    bench.run(main)
    for layer in program.layers:
        assert np.array_equal(bench.take(layer.output), expected[layer.name][0]), layer.name
