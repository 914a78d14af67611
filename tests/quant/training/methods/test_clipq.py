"""CLIP-Q: what layers compute with, gradients, weights that come back, scales, settling."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from quant.codebooks import find_codebook
from quant.errors import NoMulError
from quant.networks import NETWORKS
from quant.training.calibrated import round_layers
from quant.training.folding import fold_batch_norms
from quant.training.methods.clipq import ClipQ, ClipQOptions, CodebookWeight, swap
from quant.training.partition import Partition, allowed_values
from quant.training.weights import parametrized

CALIBRATED_OPTIONS = {"start": "calibrated", "intervals": "means", "clip_of": "all"}


def layer(scale: str = "channel", **options) -> nn.Conv2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 6, 3)
    with torch.no_grad():
        conv.weight *= torch.logspace(-2, 1, 6)[:, None, None, None]
    weight = CodebookWeight(conv.weight, Partition(**options), allowed_values(5), scale)
    parametrize.register_parametrization(conv, "weight", weight)
    return conv.train()


@pytest.mark.parametrize("scale", ["channel", "layer", "fixed"])
def test_weights_are_of_the_codebook_in_training_and_evaluation(scale):
    conv = layer(scale)
    found = find_codebook(conv.weight.detach().numpy(), 2)
    assert found is not None and found.zeros >= 0.2 * conv.weight.numel()
    assert torch.equal(conv.weight, copy.deepcopy(conv).eval().weight)
    assert torch.equal(conv.weight, conv.weight.bfloat16().float())
    if scale == "channel":
        assert len(np.unique(found.fraction)) > 4
    else:
        assert len(conv.weight.unique()) <= 4
    if scale == "fixed":
        codes = conv.weight * 32
        assert torch.equal(codes, codes.round()) and codes.abs().max() <= 128


def test_the_gradient_goes_to_the_weight_as_it_is():
    conv, x = layer(), torch.randn(2, 3, 6, 6)
    used = conv.weight.detach().requires_grad_()
    aim = torch.randn(2, 6, 4, 4)
    (nn.functional.conv2d(x, used, conv.bias) * aim).sum().backward()
    (conv(x) * aim).sum().backward()
    torch.testing.assert_close(conv.parametrizations.weight.original.grad, used.grad)


def test_a_clipped_weight_can_come_back():
    conv = layer("fixed")
    original = conv.parametrizations.weight.original
    gone = (conv.weight == 0) & (original != 0)
    assert gone.any()
    with torch.no_grad():
        original[gone] = 1.0
    assert (conv.weight[gone] > 0).all()
    assert (conv.weight == 0).sum() >= 0.2 * original.numel()


def test_settled_weights_stay_while_biases_learn():
    model = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten())
    method = ClipQ(ClipQOptions(settle=0.5))
    wrapped = method.wrap(model.eval(), torch.randn(4, 2, 5, 5)).train()
    (conv, holder) = next(iter(parametrized(wrapped, CodebookWeight)))
    for done, learns in ((0.4, True), (0.5, False)):
        method.begin_step(wrapped, done)
        wrapped.zero_grad()
        wrapped(torch.randn(4, 2, 5, 5)).square().sum().backward()
        gradient = conv.parametrizations.weight.original.grad
        assert (gradient is not None and bool(gradient.any())) == learns
        assert conv.bias.grad.any()
    assert holder.settled


@pytest.mark.parametrize("name", ["resnet8", "lenet"])
def test_a_network_comes_back_plain_with_codebooks(name):
    torch.manual_seed(0)
    model = NETWORKS[name].make().eval()
    x = torch.randn(2, *NETWORKS[name].input_shape)
    method = ClipQ(ClipQOptions(bits=3, intervals="means", activations="q5"))
    wrapped = method.wrap(model, x).eval()
    with torch.no_grad():
        fixed = wrapped(x)
        plain = method.finish(wrapped)
        assert torch.equal(fixed * 32, (fixed * 32).round()) and fixed.abs().max() <= 4
        assert not torch.equal(plain(x), fixed)  # activations are the scheme's again
    layers = [m for m in plain.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert layers
    for module in layers:
        assert not parametrize.is_parametrized(module)
        found = find_codebook(module.weight.detach().numpy(), 3)
        assert found is not None and found.zeros >= 0.2 * module.weight.numel()


def test_every_layer_has_its_own_partition():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(8, 2))
    swap(model, ClipQOptions(), [Partition(1), Partition(3, 0.5), Partition(2)])
    found = [weight.partition.bits for _, weight in parametrized(model, CodebookWeight)]
    assert found == [1, 3, 2]
    assert (model[1].weight == 0).float().mean() >= 0.5


@pytest.mark.parametrize("activations", ["float", "q5"])
def test_a_calibrated_start_keeps_what_quantization_finds(activations):
    torch.manual_seed(0)
    model = NETWORKS["lenet"].make()
    x = torch.randn(32, *NETWORKS["lenet"].input_shape)
    expected = round_layers(
        fold_batch_norms(copy.deepcopy(model).eval(), x),
        x,
        "codebook2" if activations == "float" else f"codebook2{activations}",
    )
    method = ClipQ(ClipQOptions(**CALIBRATED_OPTIONS, activations=activations))
    wrapped = method.wrap(model.eval(), x).train()
    names = {name: module for name, module in wrapped.named_modules() if name in expected}
    assert names.keys() == expected.keys()
    for name, module in names.items():
        weight, bias = expected[name]
        zeros = int((weight == 0).sum()) / weight.numel()
        if zeros >= 0.2:
            assert torch.equal(module.weight, weight)
        else:
            assert (module.weight == 0).float().mean() >= 0.2
        assert torch.equal(module.bias, bias)
        holder = module.parametrizations.weight[0]
        assert holder.partition.clip == max(0.2, zeros)
    # A small step moves values a little, and no weight to another value.
    before = {name: module.weight.detach().clone() for name, module in names.items()}
    with torch.no_grad():
        for module in names.values():
            original = module.parametrizations.weight.original
            original += 1e-4 * original.abs().max() * torch.randn_like(original)
    for name, module in names.items():
        if int((expected[name][0] == 0).sum()) >= 0.2 * module.weight.numel():
            assert torch.equal(module.weight == 0, before[name] == 0)


def test_a_calibrated_weight_of_too_many_values_is_refused():
    weight = torch.tensor([[1.0, 3.0, 5.0, 7.0]])
    with pytest.raises(NoMulError, match="calibration left a layer more than 3 values"):
        CodebookWeight.calibrated(weight, Partition(2), allowed_values(5), 5)


@pytest.mark.parametrize(
    ("option", "value"),
    [("intervals", "linear"), ("clip_of", "sign"), ("scale", "layer"), ("terms", 1), ("word", 6)],
)
def test_a_calibrated_start_says_what_it_needs(option, value):
    with pytest.raises(NoMulError, match=f"a calibrated start needs {option}=.*, not {value}; set"):
        ClipQOptions(**CALIBRATED_OPTIONS | {option: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "random"}, "start is 'random'; choose one of: weights, calibrated"),
        ({"bits": 6}, "an index of 6 bits"),
        ({"clip": -0.1}, "clip is -0.1"),
        ({"terms": 3}, "terms is 3"),
        ({"scale": "row"}, "scale is 'row'; choose one of: channel, layer, fixed"),
        ({"activations": "a4"}, "activations is 'a4'; give float, or q0 to q7"),
        ({"settle": 1.0}, "settle is 1.0"),
        ({"budget": 0.5}, "budget is 0.5; give 1 bit or more, or 0 for no search"),
        ({"trials": 0}, "trials is 0"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(NoMulError, match=message):
        ClipQOptions(**options)
