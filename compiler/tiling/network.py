"""A network in tiles: from the graph to the program."""

import numpy as np

from compiler import mapping
from compiler.model.external import External as ExternalModel
from compiler.prepare import Prepared
from compiler.program import LayerRecord, Program
from compiler.tensor import PlacedTensor
from compiler.tiling.bandwidth import Bandwidth
from compiler.tiling.chunks import Chunks, Mapped
from compiler.tiling.emit import CHANNELS, emit, word_bits
from compiler.tiling.paging import paged
from compiler.tiling.plan import Planner
from compiler.tiling.ports import burst_cycles
from compiler.tiling.schedule import Schedule, Unfit, schedule
from compiler.tiling.tasks import Task, producers, tasks
from compiler.tiling.timeline import timeline
from compiler.tiling.transfers import ExternalMap, word_beats
from quant.errors import NoMulError
from quant.quantized import QConv, QuantizedGraph
from rtl.architecture import Architecture
from rtl.dma.registers import BEAT
from rtl.packing import pieces

__all__ = ["model_of", "tile_network"]


class Ports(ExternalModel):
    """The channels' ports, whose short bursts cost no more beats than long ones, but a time each.

    ``burst_overhead`` is that time.
    """

    def cycles(self, size: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """See :meth:`~compiler.model.external.External.cycles`."""
        bursts = runs * np.ceil(size / (np.maximum(runs, 1) * self.burst_bytes))
        return np.maximum(size / self.bytes_per_cycle, bursts * self.burst_overhead)


def model_of(architecture: Architecture) -> Ports:
    """The machine's external memory for the model that chooses tiles."""
    external = architecture.external
    assert external is not None
    rate = CHANNELS * BEAT * external.percent / 100
    burst = burst_cycles(external, 1) / CHANNELS
    return Ports(rate, external.burst * BEAT, burst, external.latency, ahead=True)


def tile_network(graph: QuantizedGraph, prepared: Prepared, architecture: Architecture) -> Program:
    """The program of a network whose tensors and weights stand in external memory.

    Layers for whose tiles there is no room get smaller ones until there is.

    Errors: :class:`NoMulError` naming the layer and the remedy where none is small enough.
    """
    if architecture.splits:
        raise NoMulError(
            f"{architecture.name}: machines whose codes split have no external memory; leave out "
            f"[external]"
        )
    mapper, chunks = Mapped(mapping.find(architecture.engine).map_convolution), Chunks()
    tiles, plan = plan_tiles(graph, prepared, architecture, mapper, chunks)
    places = ExternalMap.of(prepared, architecture)
    made = emit(architecture, tiles, plan, chunks, mapper, places)
    instructions = paged(made.instructions, architecture.memory.instruction_words)
    time = timeline(architecture, instructions)
    ends = [0] * (len(graph.layers) + 1)
    for task, runs in zip(tiles, made.runs):
        ends[task.step.owner + 1] = runs
    ends = np.maximum.accumulate(ends).tolist()
    joined = {task.step.layer.name for task in tiles if task.joined}
    layers = [
        LayerRecord(
            name=layer.name,
            kind=type(layer).__name__.removeprefix("Q"),
            inputs=tuple(layer.inputs),
            output=placed(prepared, places, layer.name),
            first_run=ends[owner],
            runs=ends[owner + 1] - ends[owner],
            runs_done=ends[-1],
            macs=layer.macs if isinstance(layer, QConv) else 0,
            passes=made.passes.get(owner, 0),
            cycles=time.layers.get(owner, 0),
            kept=layer.name not in joined,
        )
        for owner, layer in enumerate(graph.layers)
    ]
    return Program(
        name=graph.name,
        scheme=graph.scheme,
        architecture=architecture,
        instructions=np.array(instructions, np.uint64),
        weights=np.zeros((0, pieces(architecture.engine_config.weight_bits)), np.uint32),
        parameters=np.zeros((0, pieces(architecture.parameter_bits)), np.uint32),
        input=placed(prepared, places, graph.input),
        output=placed(prepared, places, graph.output),
        layers=tuple(layers),
        cycles=time.total,
        external=made.weights,
        external_words=places.words,
    )


def plan_tiles(
    graph: QuantizedGraph,
    prepared: Prepared,
    architecture: Architecture,
    mapper: Mapped,
    chunks: Chunks,
) -> tuple[list[Task], Schedule]:
    """Tiles for which there is room, and their schedule."""
    planner = Planner(graph, prepared, architecture, model_of(architecture))
    assert architecture.external is not None
    rate = CHANNELS * architecture.external.percent / 100
    beats = {region: word_beats(bits) for region, bits in word_bits(architecture).items()}
    shares: dict[int, int] = {}
    apart: list[int] = []
    while True:
        choices = planner.choose(shares, apart)
        tiles = tasks(prepared, choices, architecture)
        needed = [chunks.of(task, architecture, mapper) for task in tiles]
        try:
            bandwidth = Bandwidth([chunks.cycles[task.shape] for task in tiles], beats, rate)
            made_by = producers(prepared, tiles)
            return tiles, schedule(architecture, tiles, needed, made_by, bandwidth)
        except Unfit as error:
            place = next(at for at, step in enumerate(prepared.steps) if step is error.step)
            joined = [at for at in (place, place - 1) if at >= 0 and choices[at].joined]
            if joined:
                apart.append(joined[0])
            else:
                shares[place] = shares.get(place, 0) + 1


def placed(prepared: Prepared, places: ExternalMap, name: str) -> PlacedTensor:
    """A tensor in external memory."""
    tensor = prepared.tensors[name]
    _, first, pitch, _ = places.place(name)
    shape, fmt, layout = tensor.shape, tensor.format, tensor.layout
    return PlacedTensor(name, shape, fmt, first, layout, pitch, tensor.unfolding)
