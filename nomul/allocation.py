"""Allocation of widths on a machine: the compiler's exact cycles as costs, and their check."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from compiler import mapping
from compiler.compile import compile as compile_graph
from compiler.layout import Layout
from compiler.mapping import Convolution
from compiler.program import Program
from compiler.settings import Run, execute
from compiler.tensor import PlacedTensor
from quant.allocation.allocate import MachineCosts, allocate, groups_in_order
from quant.allocation.allocation import Allocation
from quant.allocation.budget import Budget
from quant.allocation.permutation import channel_orders, output_orders
from quant.allocation.sensitivity import Sensitivity
from quant.allocation.tables import WIDTHS, sizes
from quant.alone import float_conv
from quant.errors import NoMulError
from quant.graph import Graph, Window
from quant.numbers import Format
from quant.quantized import QConv, QuantizedGraph
from rtl.architecture import Architecture
from rtl.isa import ADDRESS, Nest, Path

__all__ = ["allocate_on", "machine_costs", "pass_counts"]

ROUNDS = 5
"""How often the target is lowered until the exact cycles are within the budget."""


def allocate_on(
    architecture: Architecture,
    graph: Graph,
    outline: QuantizedGraph,
    sensitivity: Sensitivity,
    budgets: list[Budget],
) -> Allocation:
    """The widths of least cost within all budgets, and the order that makes blocks of them.

    A block is what fills a group of the machine's columns. Cycles are those of the compiled
    network where every block needs the passes that its width can need.

    Parameters
    ----------
    architecture : Architecture
    graph : Graph
    outline : QuantizedGraph
        The graph in integers, whatever its weights.
    sensitivity : Sensitivity
    budgets : list of Budget

    Errors: :class:`NoMulError` where the least widths are over a budget, and as of compiling.
    """
    passes = pass_counts(architecture, sensitivity.kind)
    costs = machine_costs(architecture, graph, outline, passes)
    ranks = {name: cost[:, 0] for name, cost in sensitivity.costs.items()}
    orders = channel_orders(graph, ranks)
    by_layer = output_orders(graph, orders)
    groups = groups_in_order(sensitivity, architecture.lanes, by_layer)
    targets = list(budgets)
    for _ in range(ROUNDS):
        found = allocate(sensitivity, targets, groups, costs)
        bits = {name: widths[by_layer[name]] for name, widths in found.bits.items()}
        counts = {name: np.vectorize(passes.get)(widths) for name, widths in bits.items()}
        cycles = compile_graph(with_passes(graph, outline, counts), roomy(architecture)).cycles
        over = max((cycles - b.most for b in budgets if b.unit == "cycles"), default=0)
        if over <= 0:
            moved = {n: o for n, o in orders.items() if (np.diff(o) != 1).any()}
            return replace(found, orders=moved)
        targets = [replace(b, most=b.most - over) if b.unit == "cycles" else b for b in targets]
    raise NoMulError(
        f"no allocation within the cycles was found for {architecture.name}, the last one takes "
        f"{cycles:,}; raise the budget"
    )


def pass_counts(architecture: Architecture, kind: str) -> dict[int, int]:
    """How many passes weights of each width need on a machine."""
    return {bits: passes_of(architecture, sizes(kind, bits)) for bits in WIDTHS}


def passes_of(architecture: Architecture, values: np.ndarray) -> int:
    """Passes of weights that have all these sizes, with both signs."""
    weights = np.concatenate([-values, values])
    fmt = Format(architecture.activation_bits, False, 0)

    def tensor(name: str, channels: int) -> PlacedTensor:
        layout = Layout.default(channels, architecture.lanes)
        return PlacedTensor(name, (channels, 1, 1), fmt, 0, layout, layout.blocks)

    task = Convolution(
        "weights",
        weights.reshape(1, -1, 1, 1),
        Window(),
        1,
        tensor("x", len(weights)),
        tensor("y", 1),
    )
    runs = mapping.find(architecture.engine).map_convolution(architecture, task).runs
    return len(runs[0].passes)


def machine_costs(
    architecture: Architecture,
    graph: Graph,
    outline: QuantizedGraph,
    passes: Mapping[int, int],
) -> MachineCosts:
    """Cycles and weight words of each convolution at each width, by compiling for each of them."""
    room = roomy(architecture)
    convs = {
        float_conv(graph, outline, layer).name: (index, len(layer.weight))
        for index, layer in enumerate(outline.layers)
        if isinstance(layer, QConv)
    }
    programs: dict[int, Program] = {}
    for count in sorted(set(passes.values())):
        counts = {name: np.full(outputs, count) for name, (_, outputs) in convs.items()}
        programs[count] = compile_graph(with_passes(graph, outline, counts), room)
    stored = {count: weight_words(program) for count, program in programs.items()}
    cycles, words = {}, {}
    one = programs[min(programs)]
    for name, (index, _) in convs.items():
        at = [programs[passes[bits]].layers[index] for bits in WIDTHS]
        cycles[name] = np.array([float(layer.cycles) for layer in at])
        words[name] = np.array([float(stored[passes[bits]][index]) for bits in WIDTHS])
    own = [one.layers[index] for index, _ in convs.values()]
    return MachineCosts(
        cycles,
        words,
        one.cycles - sum(layer.cycles for layer in own),
        len(one.weights) - sum(stored[min(programs)][index] for index, _ in convs.values()),
        architecture.memory.weight_words,
    )


def weight_words(program: Program) -> dict[int, int]:
    """Words of the weight memory that each layer's runs read."""
    seen: dict[int, dict[int, int]] = {}
    for event in execute(program.architecture, program.instructions.tolist()):
        if isinstance(event, Run) and event.path is Path.ENGINE:
            inner, _, outer = event.counts(Nest.WEIGHT)
            seen.setdefault(event.layer, {})[event.origin(Nest.WEIGHT)["address"]] = inner * outer
    return {layer: sum(parts.values()) for layer, parts in seen.items()}


def with_passes(
    graph: Graph, outline: QuantizedGraph, passes: Mapping[str, np.ndarray]
) -> QuantizedGraph:
    """The outline with weights that need so many passes in each output channel, and are small."""
    layers = []
    for layer in outline.layers:
        if isinstance(layer, QConv):
            counts = passes[float_conv(graph, outline, layer).name]
            layer = replace(layer, weight=weights_of(counts, layer.weight.shape))
        layers.append(layer)
    return replace(outline, layers=tuple(layers))


def weights_of(counts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A weight tensor whose output channels need so many passes each: int32.

    A pass takes one of ``count`` digits two binary places apart, of four different numbers as far
    as there is room for them, which no codebook of three values holds.
    """
    weight = np.zeros((shape[0], int(np.prod(shape[1:]))), np.int32)
    for channel, count in enumerate(counts):
        ones = (4 ** int(count) - 1) // 3
        values = [ones] if count == 1 else [ones, -ones, 2 * ones, ones + 1]
        weight[channel, : len(values)] = values[: weight.shape[1]]
    return weight.reshape(shape)


def roomy(architecture: Architecture) -> Architecture:
    """The machine with as many weight words as addresses allow: cycles are the same."""
    memory = replace(architecture.memory, weight_words=1 << ADDRESS.width - 1)
    return replace(architecture, memory=memory)
