"""Exact cycles of a network on chip, without weights: the compiler's own instructions, timed.

The mapping plans every layer as it does for a program, only for a given number of passes instead
of actual weights, and no image is made. So what this says is what a compiled program takes.
"""

from collections.abc import Mapping

from compiler import mapping
from compiler.compile import emit
from compiler.cycles import predict
from compiler.front import check_tensors, prepare_for
from compiler.mapping import Convolution
from quant.quantized import QuantizedGraph
from rtl.architecture import Architecture

__all__ = ["layer_cycles"]


def layer_cycles(
    graph: QuantizedGraph, architecture: Architecture, passes: Mapping[str, int]
) -> dict[str, int]:
    """Cycles of each layer; with the one of ``HALT`` they add up to the program's.

    Parameters
    ----------
    graph : QuantizedGraph
        Its weights are not looked at: an outline does (:mod:`compiler.model.outline`).
    architecture : Architecture
    passes : mapping of layer to int
        How often the engine goes over a layer's inputs; 1 for a layer that is not named.

    Errors: as of :func:`compiler.compile.compile`, but for weights.
    """
    engine = mapping.find(architecture.engine)
    check_tensors(graph, architecture)

    def mapper(machine: Architecture, task: Convolution) -> mapping.Mapping:
        return engine.outline(machine, task, passes.get(task.name, 1))

    emitter, _ = emit(graph, architecture, prepare_for(graph, architecture), mapper)
    cycles = predict(architecture, emitter.instructions)
    return {layer.name: cycles.layers.get(owner, 0) for owner, layer in enumerate(graph.layers)}
