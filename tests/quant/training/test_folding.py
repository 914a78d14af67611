"""Batch norms folded into any network; what cannot be folded."""

import pytest
import torch
from torch import nn

from quant.errors import NoMulError
from quant.networks import NETWORKS
from quant.training.folding import fold_batch_norms, norms_by_layer


def randomized(model: nn.Module) -> nn.Module:
    """Batch norms with statistics and factors that folding must not lose."""
    torch.manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return model.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_networks_compute_the_same(name):
    trainable = NETWORKS[name]
    model = randomized(trainable.make())
    x = torch.randn(3, *trainable.input_shape)
    folded = fold_batch_norms(model, x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert all(parameter.requires_grad for parameter in folded.parameters())
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(folded(x), expected, rtol=1e-4, atol=1e-4)


def test_linear_layers_have_batch_norms_too():
    model = randomized(nn.Sequential(nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.ReLU()))
    x = torch.randn(4, 5)
    assert norms_by_layer(model, x) == {"0": "1"}
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norms(model, x)(x), model(x))


def test_a_batch_norm_behind_something_else_is_refused():
    model = randomized(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)))
    with pytest.raises(NoMulError, match="batch norm 2 follows no convolution"):
        fold_batch_norms(model, torch.randn(2, 3, 4, 4))


def test_an_output_that_is_used_elsewhere_too_is_refused():
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return self.norm(y) + y

    with pytest.raises(NoMulError, match="folding batch norm changes the network"):
        fold_batch_norms(randomized(Forked()), torch.randn(2, 3, 4, 4))
