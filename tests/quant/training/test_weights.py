import torch
from torch import nn
from torch.nn.utils import parametrize

from quant.training.weights import keep_weights, parametrized


class Half(nn.Module):
    def forward(self, weight):
        return weight / 2


class Negative(nn.Module):
    def forward(self, weight):
        return -weight


def network():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    parametrize.register_parametrization(model[0], "weight", Half())
    parametrize.register_parametrization(model[2], "weight", Negative())
    return model


def test_layers_of_a_kind():
    model = network()
    assert [layer for layer, _ in parametrized(model, Half)] == [model[0]]
    assert [layer for layer, _ in parametrized(model, Negative)] == [model[2]]


def test_only_weights_of_the_kind_become_plain():
    model = network().train()
    weight = model[0].weight.detach().clone()
    assert keep_weights(model, Half) is model
    assert not model.training
    assert torch.equal(model[0].weight, weight)
    assert "weight" in dict(model[0].named_parameters())
    assert not list(parametrized(model, Half)) and len(list(parametrized(model, Negative))) == 1
