"""Calibrated rounding of a module's layers: whose weights and biases they get."""

import pytest
import torch
from torch import nn

from quant.errors import NoMulError
from quant.training.calibrated import round_layers


class Crossed(nn.Module):
    """Two convolutions of one shape that are called in another order than registered."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x).relu()).relu()
        return self.last(x.flatten(1))


def test_each_layer_gets_its_own_weights():
    torch.manual_seed(0)
    model, x = Crossed().eval(), torch.randn(32, 4, 6, 6)
    rounded = round_layers(model, x, "pow3")
    assert set(rounded) == {"first", "second", "last"}
    with torch.no_grad():
        expected = model(x)
        for name, (weight, bias) in rounded.items():
            layer = model.get_submodule(name)
            assert weight.shape == layer.weight.shape and bias.shape == layer.bias.shape
            assert (
                torch.corrcoef(torch.stack([weight.flatten(), layer.weight.flatten()]))[0, 1] > 0.9
            )
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        found = model(x)
    assert (found - expected).square().mean() < 0.1 * expected.var()


def test_a_layer_that_import_changes_is_refused():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.norm = nn.BatchNorm2d(2)
            nn.init.uniform_(self.norm.running_var, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(x))

    with pytest.raises(NoMulError, match="import changes the weights of conv"):
        round_layers(Scaled().eval(), torch.randn(8, 1, 4, 4), "pow3")
