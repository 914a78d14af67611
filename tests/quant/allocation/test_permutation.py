import numpy as np
import pytest
import torch
from torch import nn

from quant.allocation.permutation import channel_orders, output_orders, permute
from quant.floating import relative_error, run_float
from quant.graph import Conv
from quant.importers import load
from quant.networks import ResNet8, ResNet20


class Mixed(nn.Module):
    """Depthwise and grouped convolutions, concatenations, one of them added to another tensor."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 12, 1)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.wide = nn.Conv2d(20, 20, 1)
        self.after = nn.Conv2d(40, 6, 1)
        self.last = nn.Linear(6 * 16, 5)

    def forward(self, x):
        a = self.first(x).relu()
        b = self.depth(a).relu()
        c = self.grouped(self.point(b).relu())
        d = torch.cat([a, c], 1)
        e = self.wide(d) + d
        f = torch.cat([e, self.wide(e).relu()], 1)
        f = nn.functional.max_pool2d(self.after(f).relu(), 2)
        return self.last(f.flatten(1))


def graph_of(model, shape):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return load(model.eval(), shape)


def ranks_of(graph, seed=0):
    random = np.random.default_rng(seed)
    return {c.name: random.random(len(c.weight)) for c in graph.layers if isinstance(c, Conv)}


@pytest.mark.parametrize(
    "model, shape",
    [(ResNet8(), (3, 32, 32)), (ResNet20(), (3, 32, 32)), (Mixed(), (3, 8, 8))],
    ids=["resnet8", "resnet20", "mixed"],
)
def test_the_output_stays(model, shape):
    graph = graph_of(model, shape)
    orders = channel_orders(graph, ranks_of(graph))
    moved = permute(graph, orders)
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    names = [graph.output, *(layer.name for layer in graph.layers)]
    before, after = run_float(graph, x, keep=names), run_float(moved, x, keep=names)
    assert relative_error(after[graph.output], before[graph.output]) < 1e-5
    for name, order in orders.items():
        if name != graph.input:
            assert relative_error(after[name], before[name][:, order]) < 1e-5
    assert any((order != np.arange(len(order))).any() for order in orders.values())


def test_the_most_sensitive_comes_first_where_nothing_ties():
    graph = graph_of(ResNet20(), (3, 32, 32))
    ranks = ranks_of(graph)
    orders = channel_orders(graph, ranks)
    assert (np.diff(ranks["layer2.1.conv1"][orders["layer2.1.conv1"]]) < 0).all()
    assert set(output_orders(graph, orders)) == set(ranks)


def test_a_stage_of_a_residual_network_has_one_order():
    graph = graph_of(ResNet20(), (3, 32, 32))
    ranks = ranks_of(graph)
    orders = channel_orders(graph, ranks)
    stage = ["layer2.0.conv2", "layer2.0.shortcut", "layer2.1.conv2", "layer2.2.conv2"]
    assert all((orders[name] == orders[stage[0]]).all() for name in stage)
    shares = sum(ranks[name] / ranks[name].sum() for name in stage)
    assert (np.diff(shares[orders[stage[0]]]) < 0).all()


def test_input_output_and_groups_keep_their_order():
    graph = graph_of(Mixed(), (3, 8, 8))
    orders = channel_orders(graph, ranks_of(graph))
    kept = {graph.input, graph.output}
    kept |= {
        n
        for c in graph.layers
        if isinstance(c, Conv) and c.groups == 3
        for n in (c.name, *c.inputs)
    }
    for name in kept:
        assert (orders[name] == np.arange(len(orders[name]))).all()


def test_a_concatenation_has_the_orders_of_its_inputs():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 6, 1)
            self.last = nn.Conv2d(10, 2, 1)

        def forward(self, x):
            return self.last(torch.cat([self.a(x).relu(), self.b(x).relu()], 1))

    graph = graph_of(Joined(), (3, 4, 4))
    orders = channel_orders(graph, ranks_of(graph, seed=3))
    (joined,) = [layer.name for layer in graph.layers if type(layer).__name__ == "Concat"]
    assert orders[joined].tolist() == [*orders["a"], *(4 + orders["b"])]
    assert orders["a"].tolist() != [0, 1, 2, 3]
    moved = permute(graph, orders)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    out = [run_float(g, x, keep=[g.output])[g.output] for g in (graph, moved)]
    assert relative_error(out[1], out[0]) < 1e-5
