"""Output channels in another order: groups of equal widths become contiguous, all else stays.

Tensors that an elementwise layer, a pooling or a depthwise convolution ties together share an
order; so do the two sides of a residual addition. A convolution's weights follow the order of its
input and make that of its output, a concatenation has the orders of its inputs one after another.
The network's input and output keep theirs, and so does what a grouped convolution reads and makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from quant.graph import Concat, Conv, Graph, Layer

__all__ = ["channel_orders", "output_orders", "permute"]


@dataclass(frozen=True)
class Ties:
    """Which tensors have the same channels.

    Parameters
    ----------
    leader : dict of str
        Of every tensor, the first that it is tied to.
    fixed : set of str
        Leaders whose channels stay where they are.
    joined : dict of tuple of str
        Of a leader whose order follows from others': these, one after another.
    """

    leader: dict[str, str]
    fixed: set[str]
    joined: dict[str, tuple[str, ...]]


def ties(graph: Graph) -> Ties:
    """Which tensors of a graph share an order."""
    leader = {graph.input: graph.input, **{layer.name: layer.name for layer in graph.layers}}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    kept = {graph.input, graph.output}
    for layer in graph.layers:
        if isinstance(layer, Conv) and not depthwise(graph, layer):
            if layer.groups > 1:
                kept |= {layer.inputs[0], layer.name}
        elif not joins(layer):
            for name in layer.inputs:
                first, second = find(name), find(layer.name)
                leader[second] = first
    leader = {name: find(name) for name in leader}
    joined: dict[str, tuple[str, ...]] = {}
    for layer in graph.layers:
        if joins(layer):
            parts = tuple(leader[name] for name in layer.inputs)
            if joined.setdefault(leader[layer.name], parts) != parts:
                kept |= {*layer.inputs, layer.name, *joined[leader[layer.name]]}
    fixed = {leader[name] for name in kept}
    # What a concatenation is tied to by another layer than itself, and fixed wholes, fix parts.
    makers = {leader[layer.name] for layer in graph.layers if makes_order(graph, layer)}
    changed = True
    while changed:
        before = len(fixed)
        for whole, parts in joined.items():
            if whole in fixed or whole in makers:
                fixed |= {whole, *parts}
        changed = len(fixed) > before
    return Ties(leader, fixed, joined)


def joins(layer: Layer) -> bool:
    """Whether a layer puts channels of several tensors one after another."""
    return isinstance(layer, Concat) and len(layer.inputs) > 1


def depthwise(graph: Graph, conv: Conv) -> bool:
    """Whether each output channel reads its own input channel and no other."""
    return conv.groups == conv.shape[0] == graph.shape_of(conv.inputs[0])[0]


def makes_order(graph: Graph, layer: Layer) -> bool:
    """Whether a layer can give its channels any order."""
    return isinstance(layer, Conv) and layer.groups == 1


def channel_orders(graph: Graph, ranks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The order of every tensor's channels: position p holds channel ``order[p]``.

    Parameters
    ----------
    graph : Graph
    ranks : mapping of float array (outputs,)
        By the convolution's name: larger comes first, and counts as a share of the layer's sum. In
        tensors that share an order the shares of all their makers are added.
    """
    tied = ties(graph)
    total: dict[str, np.ndarray] = {}
    for layer in graph.layers:
        if isinstance(layer, Conv) and layer.name in ranks:
            rank = ranks[layer.name]
            share = rank / max(float(rank.sum()), 1e-30)
            leader = tied.leader[layer.name]
            total[leader] = total.get(leader, 0.0) + share

    @cache
    def order(leader: str) -> np.ndarray:
        if leader in tied.joined and leader not in tied.fixed:
            parts = [order(part) for part in tied.joined[leader]]
            offsets = np.cumsum([0, *(len(part) for part in parts[:-1])])
            return np.concatenate([p + o for p, o in zip(parts, offsets)])
        if leader in tied.fixed or leader not in total:
            return np.arange(graph.shape_of(leader)[0])
        return np.argsort(-total[leader], kind="stable")

    return {name: order(leader) for name, leader in tied.leader.items()}


def output_orders(graph: Graph, orders: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The part of the orders that is of convolutions' outputs."""
    return {layer.name: orders[layer.name] for layer in graph.layers if isinstance(layer, Conv)}


def permute(graph: Graph, orders: Mapping[str, np.ndarray]) -> Graph:
    """The same network with its channels in these orders, as of :func:`channel_orders`.

    Tensors that are not named keep theirs.
    """
    layers: list[Layer] = []
    for layer in graph.layers:
        if isinstance(layer, Conv):
            own = orders.get(layer.name, slice(None))
            weight = layer.weight[own]
            if layer.groups == 1:
                weight = weight[:, orders.get(layer.inputs[0], slice(None))]
            weight = np.ascontiguousarray(weight)
            layer = replace(layer, weight=weight, bias=layer.bias[own])
        layers.append(layer)
    return replace(graph, layers=tuple(layers))
