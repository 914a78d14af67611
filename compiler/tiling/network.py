"""A network in tiles: from the graph to the program."""

from compiler import mapping
from compiler.compile import prepare_for
from compiler.model.external import External
from compiler.prepare import Prepared
from compiler.tiling.chunks import Chunks, Mapped
from compiler.tiling.emit import TiledProgram, emit
from compiler.tiling.plan import Planner
from compiler.tiling.schedule import Schedule, Unfit, schedule
from compiler.tiling.tasks import Task, producers, tasks
from compiler.tiling.transfers import ExternalMap
from quant.quantized import QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["tile_network"]


def tile_network(
    graph: QuantizedGraph, architecture: Architecture, external: External
) -> tuple[Prepared, list[Task], Schedule, ExternalMap, TiledProgram]:
    """The program of a network whose tensors and weights stand in external memory.

    Layers for whose tiles there is no room get smaller ones until there is.

    Errors: :class:`NoMulError` naming the layer and the remedy where none is small enough.
    """
    prepared = prepare_for(graph, architecture)
    planner = Planner(graph, prepared, architecture, external)
    mapper, chunks = Mapped(mapping.find(architecture.engine).map_convolution), Chunks()
    shares: dict[int, int] = {}
    apart: list[int] = []
    while True:
        choices = planner.choose(shares, apart)
        tiles = tasks(prepared, choices)
        needed = [chunks.of(task, architecture, mapper) for task in tiles]
        try:
            plan = schedule(architecture, tiles, needed, producers(prepared, tiles))
        except Unfit as error:
            place = next(at for at, step in enumerate(prepared.steps) if step is error.step)
            for joined in (place, place - 1):
                if joined >= 0 and choices[joined].joined:
                    apart.append(joined)
                    break
            else:
                shares[place] = shares.get(place, 0) + 1
            continue
        external_map = ExternalMap.of(prepared, architecture)
        program = emit(architecture, tiles, plan, chunks, mapper, external_map)
        return prepared, tiles, plan, external_map, program
