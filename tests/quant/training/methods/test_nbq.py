"""n-bit training: the blend and its gradient, schedules, what is swapped, what comes out."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from quant.errors import NoMulError
from quant.networks import NETWORKS
from quant.training.methods.nbq import NBitOptions, NBitTraining, StaircaseWeight, swap
from quant.training.staircase import level_count, staircase
from quant.training.thresholds import RULES

PAPER = {"start": "weights", "thresholds": "moments"}


def layer(
    bits: int = 3, thresholds: str = "moments", alpha: float = 0.3, gradient: str = "exact"
) -> nn.Conv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3).double()
    weight = StaircaseWeight(conv.weight, bits, thresholds, gradient).double()
    weight.alpha = alpha
    parametrize.register_parametrization(conv, "weight", weight)
    return conv.train()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("thresholds", RULES)
def test_weights_are_a_blend_of_themselves_and_their_staircase(bits, thresholds):
    conv = layer(bits, thresholds)
    holder = conv.parametrizations.weight
    scale = torch.exp2(holder[0].exponent)[:, None, None, None]
    codes = staircase(holder.original / scale, holder[0].limits if bits > 1 else None)
    expected = 0.7 * scale * codes + 0.3 * holder.original
    torch.testing.assert_close(conv.weight, expected)
    torch.testing.assert_close(conv.eval().weight, scale * codes)
    sizes = {2.0**-i for i in range(level_count(bits))} | {0.0}
    assert set(codes.abs().unique().tolist()) <= sizes


def test_gradient_is_alpha_times_that_of_the_weight():
    conv, x = layer(), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    used = conv.weight.detach().requires_grad_()
    aim = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    (nn.functional.conv2d(x, used, conv.bias) * aim).sum().backward()
    (conv(x) * aim).sum().backward()
    torch.testing.assert_close(conv.parametrizations.weight.original.grad, 0.3 * used.grad)


def test_straight_through_computes_with_the_staircase_and_takes_the_gradient_as_it_is():
    conv, x = layer(gradient="through"), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    used = conv.weight.detach().requires_grad_()
    assert torch.equal(used, conv.eval().weight)
    conv.train()(x).square().sum().backward()
    nn.functional.conv2d(x, used, conv.bias).square().sum().backward()
    torch.testing.assert_close(conv.parametrizations.weight.original.grad, used.grad)


def test_gradient_equals_finite_differences():
    conv, x = layer(thresholds="nearest"), torch.randn(1, 3, 5, 5, dtype=torch.float64)
    holder = conv.parametrizations.weight

    def loss(parameter: torch.Tensor) -> torch.Tensor:
        weight = holder[0](parameter)
        return nn.functional.conv2d(x, weight, conv.bias).square().sum()

    # No threshold lies within the step, so the function is smooth there.
    assert torch.autograd.gradcheck(loss, holder.original.detach().requires_grad_(), eps=1e-7)


def test_share_of_the_staircase_rises_by_a_factor_each_epoch_then_is_one():
    method = NBitTraining(NBitOptions(settle=0.0))
    epochs = 10
    shares = [1 - method.alpha(epoch / epochs) for epoch in range(epochs + 1)]
    assert shares[0] == 0.5 and shares[-1] == 1
    for before, after in pairwise(shares):
        assert after / before == pytest.approx(2 ** (1 / epochs))
    settling = NBitTraining(NBitOptions(settle=0.2))
    assert settling.alpha(0.79) > 0 and settling.alpha(0.8) == settling.alpha(0.9) == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_network_is_swapped_and_comes_back_plain(name):
    model = NETWORKS[name].make().eval()
    keys = set(model.state_dict())
    options = NBitOptions(bits=3, batch_norm="keep", start="weights")
    method = NBitTraining(options)
    wrapped = method.wrap(copy.deepcopy(model), torch.empty(0))
    count = sum(isinstance(m, StaircaseWeight) for m in wrapped.modules())
    assert count == sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules())
    plain = method.finish(wrapped)
    assert set(plain.state_dict()) == keys
    for module in plain.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            for row in module.weight.detach().flatten(1):
                sizes = row[row != 0].abs()
                mantissa, exponent = torch.frexp(sizes)
                assert (mantissa == 0.5).all() and exponent.max() - exponent.min() < 3


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 0, [3, 3, 3]), (5, 4, [5, 3, 4]), (32, 0, [None, 3, 3]), (0, 32, [3, 3, None])],
)
def test_first_and_last_layer_have_their_own_width(first, last, expected):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(8, 2))
    swap(model, NBitOptions(bits=3, first_bits=first, last_bits=last, **PAPER))
    layers = [m for m in model.children() if not isinstance(m, nn.Flatten)]
    found = [
        m.parametrizations.weight[0].bits if parametrize.is_parametrized(m) else None
        for m in layers
    ]
    assert found == expected


def test_thresholds_follow_the_weights_and_the_scale_stays():
    model = nn.Sequential(nn.Conv2d(2, 4, 3))
    method = NBitTraining(NBitOptions(**PAPER))
    wrapped = method.wrap(model, torch.randn(2, 2, 5, 5))
    holder = wrapped[0].parametrizations.weight
    exponent, limits = holder[0].exponent.clone(), holder[0].limits.clone()
    method.begin_epoch(wrapped, 0.0)
    torch.testing.assert_close(holder[0].limits, limits)
    with torch.no_grad():
        holder.original *= 0.8
    method.begin_epoch(wrapped, 0.5)
    assert not torch.allclose(holder[0].limits, limits)
    method.begin_epoch(wrapped, 0.99)
    assert torch.equal(holder[0].exponent, exponent)


def test_a_calibrated_start_keeps_what_the_network_computes_better():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3)
    )
    x = torch.randn(64, 3, 8, 8)
    model(x)
    expected = model.eval()(x).detach()

    def error(**options) -> float:
        method = NBitTraining(NBitOptions(**options))
        plain = method.finish(method.wrap(copy.deepcopy(model), x))
        return ((plain(x) - expected).square().mean() / expected.var()).item()

    assert error() < 0.75 * error(start="weights")
    assert error() < error(bits=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 6}, "weights of 6 bits are no staircase"),
        ({"last_bits": 8}, "weights of 8 bits are no staircase"),
        ({"share": 1.0}, "share is 1.0"),
        ({"share": 0.0}, "share is 0, and would never rise"),
        ({"settle": 1.0}, "settle is 1.0"),
        ({"start": "zero"}, "start is 'zero'; choose one of: calibrated, weights"),
        ({"batch_norm": "drop"}, "batch_norm is 'drop'; choose one of: fold, keep"),
        ({"gradient": "none"}, "gradient is 'none'; choose one of: exact, through"),
        ({"thresholds": "best"}, "no thresholds 'best'"),
        ({"thresholds": "code"}, "a calibrated start needs the thresholds nearest"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(NoMulError, match=message):
        NBitOptions(**options)
