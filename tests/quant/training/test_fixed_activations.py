"""Fixed-point activations while training: the scheme's own codes, and their gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from quant.numbers import Format, dequantize, quantize
from quant.training.fixed_activations import FixedActivations, fix


def test_values_are_those_of_the_format():
    x = torch.linspace(-5, 5, 4001)
    fmt = Format(8, True, 5)
    expected = dequantize(quantize(x.numpy(), fmt), fmt.fraction)
    assert np.array_equal(fix(x, 5).numpy(), expected)


@pytest.mark.parametrize(("sign", "expected"), [(1, [0, 1, 1, 1, 1]), (-1, [-1, -1, -1, -1, 0])])
def test_the_gradient_leads_what_saturates_back_but_no_further(sign, expected):
    x = torch.tensor([-4.5, -3.99, 0.013, 3.9, 4.2], requires_grad=True)
    (sign * fix(x, 5)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == expected


def test_layers_read_rounded_values_until_it_is_removed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3)).eval()
    x = torch.randn(4, 1, 5, 5)
    with torch.no_grad():
        before = model(x)
        hidden = fix(torch.relu(model[0](fix(x, 3))), 3).flatten(1)
        expected = fix(model[3](hidden), 3)
        fixed = FixedActivations(model, 3)
        assert torch.equal(model(x), expected)
        fixed.remove()
        assert torch.equal(model(x), before)
