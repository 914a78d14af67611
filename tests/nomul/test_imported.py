import numpy as np
import pytest
import torch
from torch import nn

import nomul
from nomul.imported import import_error


@pytest.mark.parametrize("last", [nn.Identity, lambda: nn.Softmax(1), lambda: nn.LogSoftmax(1)])
def test_a_module(last):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), last())
    graph = nomul.load(module, (3, 6, 6))
    x = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype(np.float32)
    assert import_error(module.eval(), graph, x) < 1e-5
    with torch.no_grad():
        module[0].bias += 1
    assert import_error(module, graph, x) > 1e-3
