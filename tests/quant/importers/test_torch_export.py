"""Every operator that the torch front end takes, against torch, and what it refuses."""

import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from quant.errors import NoMulError
from quant.floating import compare_import
from quant.graph import AvgPool, Conv, Graph, MaxPool, Upsample, Window
from quant.importers import load_module

IMAGE = (6, 12, 10)


class Function(nn.Module):
    """A module whose forward is one function, beside the modules that it needs."""

    def __init__(self, function, **modules) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def randomised(module: nn.Module) -> nn.Module:
    """The module with batch-norm statistics of a trained one, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.2, 3, generator=generator)
            for parameter in part.parameters():
                parameter.data.normal_(generator=generator)
    return module.eval()


def imported(module: nn.Module, shape=IMAGE, images: int = 3, drop=lambda y: y) -> Graph:
    """The graph of a module, after comparing its output with torch's."""
    torch.manual_seed(0)
    module = randomised(module)
    graph = load_module(module, shape)
    x = torch.randn(images, *shape)
    with torch.no_grad():
        expected = drop(module(x))
    source = x.numpy().reshape(images, *graph.input_shape)
    assert compare_import(graph, expected.numpy(), source) < 1e-5
    return graph


def kinds(graph: Graph) -> list[str]:
    return [type(layer).__name__ for layer in graph.layers]


def two_branches(join):
    return Function(
        lambda self, x: join(self.a(x), self.b(x)),
        a=nn.Conv2d(6, 4, 3, padding=1),
        b=nn.Conv2d(6, 4, 1),
    )


def plain(function):
    return Function(lambda self, x: function(x))


MODULES = {
    "conv": nn.Conv2d(6, 8, 3),
    "conv without bias": nn.Conv2d(6, 8, (3, 5), (2, 1), (1, 2), bias=False),
    "conv dilated": nn.Conv2d(6, 4, 3, padding=2, dilation=(2, 3)),
    "conv groups": nn.Conv2d(6, 9, 3, groups=3),
    "conv depthwise": nn.Conv2d(6, 12, 3, padding=1, groups=6),
    "conv same": nn.Conv2d(6, 4, (4, 3), padding="same"),
    "pad conv": nn.Sequential(nn.ZeroPad2d((0, 1, 2, 3)), nn.Conv2d(6, 4, 3, 2, 1)),
    "crop conv": nn.Sequential(nn.ZeroPad2d((-1, 0, 0, -2)), nn.Conv2d(6, 4, 3)),
    "conv batch norm": nn.Sequential(nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
    "batch norm conv": nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, groups=2)),
    "batch norm padded conv": nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1)),
    "batch norm alone": nn.BatchNorm2d(6),
    "batch norm not affine": nn.Sequential(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4, affine=False)),
    "relu6": nn.ReLU6(),
    "relu in place": nn.Sequential(nn.Conv2d(6, 4, 1), nn.ReLU(inplace=True)),
    "hardtanh": nn.Hardtanh(-0.5, 0.25),
    "clamp low": plain(lambda x: x.clamp(min=-0.25)),
    "clamp high": plain(lambda x: torch.clamp_max(x, 0.5)),
    "clamp twice": plain(lambda x: x.clamp(-1, 0.5).clamp(-0.5, 2)),
    "maximum": plain(
        lambda x: torch.minimum(torch.maximum(x, torch.tensor(-0.5)), torch.tensor(1))
    ),
    "max pool": nn.MaxPool2d(3, 2, 1),
    "max pool dilated": nn.MaxPool2d((2, 3), 1, (1, 1), dilation=(3, 2)),
    "max pool ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
    "max pool ceil padded": nn.MaxPool2d(2, 2, 1, ceil_mode=True),
    "pad max pool": nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)),
    "relu pad max pool": nn.Sequential(nn.ReLU(), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)),
    "avg pool": nn.AvgPool2d(2),
    "avg pool padded": nn.AvgPool2d(3, 2, 1),
    "avg pool no padding to count": nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
    "avg pool divisor": nn.AvgPool2d(2, divisor_override=3),
    "pad avg pool": nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, 2, count_include_pad=False)),
    "adaptive global": nn.AdaptiveAvgPool2d(1),
    "adaptive dividing": nn.AdaptiveAvgPool2d((4, 5)),
    "adaptive max": nn.AdaptiveMaxPool2d((3, 2)),
    "mean rows and columns": plain(lambda x: x.mean((2, 3))),
    "mean rows": plain(lambda x: x.mean(2, keepdim=True)),
    "mean of flat map": plain(lambda x: x.flatten(2).mean(-1)),
    "amax": plain(lambda x: x.amax((-2, -1))),
    "flatten linear": nn.Sequential(nn.Flatten(), nn.Linear(720, 5)),
    "linear without bias": nn.Sequential(nn.Flatten(), nn.Linear(720, 5, bias=False)),
    "channels last linear": Function(
        lambda self, x: self.fc(x.permute(0, 2, 3, 1).flatten(1)), fc=nn.Linear(720, 5)
    ),
    "slice linear": Function(lambda self, x: self.fc(x[:, 1:4].flatten(1)), fc=nn.Linear(360, 5)),
    "view linear": Function(
        lambda self, x: self.fc(x.mean((2, 3)).view(-1, 6)), fc=nn.Linear(6, 5)
    ),
    "squeeze": Function(
        lambda self, x: self.fc(F.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2)),
        fc=nn.Linear(6, 5),
    ),
    "linear batch norm": nn.Sequential(
        nn.Flatten(), nn.Linear(720, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    ),
    "add": two_branches(lambda a, b: a + b),
    "add alpha": two_branches(lambda a, b: torch.add(a, b, alpha=2)),
    "subtract": two_branches(lambda a, b: a - b),
    "add itself": plain(lambda x: x + x),
    "concat": two_branches(lambda a, b: torch.cat([a, b, a], 1)),
    "concat flat": Function(
        lambda self, x: self.fc(torch.cat([x.flatten(1), (x * 2).flatten(1)], 1)),
        fc=nn.Linear(1440, 3),
    ),
    "concat zeros": plain(lambda x: torch.cat([torch.zeros(2, 2, 12, 10)[: len(x)], x], 1)),
    "upsample": nn.Upsample(scale_factor=(2, 3)),
    "upsample size": nn.Upsample(size=(24, 20)),
    "downsample": nn.Upsample(scale_factor=0.5),
    "scale and shift": plain(lambda x: (x - 0.5) / 2 * 3 + 1),
    "reversed operands": plain(lambda x: 1 - 2 * x),
    "normalise": plain(
        lambda x: (x - torch.arange(6.0).view(6, 1, 1)) / torch.full((1, 6, 1, 1), 3)
    ),
    "negate": plain(lambda x: -x),
    "dropout": nn.Sequential(nn.Dropout2d(), nn.Conv2d(6, 2, 1), nn.Identity(), nn.Dropout(0.1)),
    "chunk": plain(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "channel shuffle": plain(
        lambda x: x.view(-1, 2, 3, 12, 10).transpose(1, 2).reshape(-1, 6, 12, 10)
    ),
    "channel gather": plain(lambda x: x[:, [5, 0, 0, 3]]),
    "strided slice": plain(lambda x: x[:, :, 1:9:3, 2:-1:2]),
    "option A": plain(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 3, 3))),
    "sliced scores": Function(lambda self, x: self.fc(x.flatten(1))[:, 1:4], fc=nn.Linear(720, 5)),
    "one pixel": nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(1), nn.AvgPool2d(1), nn.ReLU()
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_operator_equals_torch(name):
    module = MODULES[name]
    if name == "concat zeros":
        imported(module, images=2)
    else:
        imported(module)


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs = groups * draw(st.integers(1, 3))
    outputs = groups * draw(st.integers(1, 3))

    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    conv = nn.Conv2d(inputs, outputs, pair(1, 5), pair(1, 3), pair(0, 3), pair(1, 3), groups)
    pads = [draw(st.integers(-1, 3)) for _ in range(4)]
    return nn.Sequential(nn.ZeroPad2d(pads), conv), (inputs, *pair(3, 12))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(convolutions())
def test_any_convolution_equals_torch(drawn):
    module, shape = drawn
    try:
        with torch.no_grad():
            module(torch.zeros(1, *shape))
    except RuntimeError:
        assume(False)
    imported(module, shape)


def test_padding_joins_the_convolution():
    graph = imported(MODULES["pad conv"])
    assert [layer.name for layer in graph.layers] == ["1"]
    assert graph.layers[0].window == Window((3, 3), (2, 2), (3, 1, 4, 2))


def test_zeros_join_a_max_pool_only_after_a_relu():
    assert kinds(imported(MODULES["relu pad max pool"])) == ["Clip", "MaxPool"]
    assert kinds(imported(MODULES["pad max pool"])) == ["Conv", "MaxPool"]


def test_batch_norm_folds():
    assert kinds(imported(MODULES["conv batch norm"])) == ["Conv", "Clip"]
    assert kinds(imported(MODULES["batch norm conv"])) == ["Conv"]
    # A shift before padding cannot move behind it.
    assert kinds(imported(MODULES["batch norm padded conv"])) == ["Conv", "Conv"]


def test_batch_norm_beside_another_reader_stays():
    module = Function(
        lambda self, x: self.bn(self.conv(x)) + self.conv(x).relu(),
        conv=nn.Conv2d(6, 4, 1),
        bn=nn.BatchNorm2d(4),
    )
    imported(module)
    shared = Function(
        lambda self, x: (lambda y: self.bn(y) + y)(self.conv(x)),
        conv=nn.Conv2d(6, 4, 1),
        bn=nn.BatchNorm2d(4),
    )
    assert kinds(imported(shared)) == ["Conv", "Conv", "Add"]


def test_option_a_shortcut_is_one_convolution_with_weights_0_and_1():
    (layer,) = imported(MODULES["option A"]).layers
    assert isinstance(layer, Conv)
    assert layer.window == Window(stride=(2, 2))
    np.testing.assert_array_equal(layer.weight[:, :, 0, 0], np.eye(12, 6, k=-3))


def test_geometry_of_global_pooling_upsampling_and_linear():
    (pool,) = imported(MODULES["adaptive global"]).layers
    assert isinstance(pool, AvgPool) and pool.window.kernel == (12, 10)
    (up,) = imported(MODULES["upsample"]).layers
    assert isinstance(up, Upsample) and up.factor == (2, 3)
    (linear,) = imported(MODULES["flatten linear"]).layers
    assert isinstance(linear, Conv) and linear.window.kernel == (12, 10)
    (pool,) = imported(MODULES["max pool ceil"]).layers
    assert isinstance(pool, MaxPool) and pool.window.padding == (0, 0, 1, 1)


def test_an_input_of_features():
    graph = imported(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2)), (7,))
    assert graph.input_shape == (7, 1, 1)
    assert [layer.name for layer in graph.layers] == ["0", "1", "2"]


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)])
def test_softmax_at_the_end_is_left_out(last):
    body = nn.Sequential(nn.Flatten(), nn.Linear(720, 5))
    graph = load_module(nn.Sequential(body, last), IMAGE)
    x = torch.randn(4, *IMAGE)
    with torch.no_grad():
        assert compare_import(graph, body.eval()(x).numpy(), x.numpy()) < 1e-5


def test_names_are_module_paths_and_unique():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(6, 6, 1)
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(F.relu(self.relu(self.conv(x)) + x))

    graph = imported(nn.Sequential(Block(), Block()))
    assert [layer.name for layer in graph.layers] == [
        "0.conv",
        "0.relu",
        "0.add",
        "0.relu_1",
        "1.conv",
        "1.relu",
        "1.add",
        "1.relu_1",
    ]


def test_the_module_is_left_as_it_is():
    module = nn.Sequential(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4)).double().train()
    load_module(module, IMAGE)
    assert module.training and module[1].training
    assert module[0].weight.dtype == torch.float64


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class Gate(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


REFUSALS = {
    "sigmoid": (nn.Sigmoid(), r"sigmoid \(sigmoid\): no layer computes this operator"),
    "hardswish": (nn.Sequential(nn.Hardswish()), r"^0 \(hardswish\): it multiplies two tensors"),
    "transposed": (nn.ConvTranspose2d(6, 3, 2), "no layer transposes a convolution"),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), "no layer computes"),
    "upsample by a half more": (nn.Upsample(scale_factor=1.5), "in a way that no layer expresses"),
    "flip": (plain(lambda x: x.flip(2) + x), r"add \(add\): flip moves elements"),
    "transpose": (plain(lambda x: x.transpose(2, 3)), "transpose moves elements"),
    "pad with ones": (nn.ConstantPad2d(1, 1.0), "pads with 1.0; only zeros"),
    "reflection": (nn.ReflectionPad2d(1), "pad moves elements"),
    "softmax inside": (
        nn.Sequential(nn.Softmax(dim=1), nn.Conv2d(6, 2, 1)),
        r"^1 \(conv2d\): it reads the softmax 0,",
    ),
    "softmax over rows": (nn.Softmax(dim=2), "works along dimension 2"),
    "average without padding": (
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "its divisor differs by position",
    ),
    "average rounded up": (nn.AvgPool2d(3, 2, ceil_mode=True), "its divisor differs by position"),
    "adaptive not dividing": (nn.AdaptiveAvgPool2d(5), "does not divide its input 12 x 10"),
    "mean of channels": (plain(lambda x: x.mean(1)), r"it reduces dimensions \[1\]"),
    "mean of everything": (plain(lambda x: x.mean()), "it reduces dimensions"),
    "broadcast": (plain(lambda x: x + x.mean((2, 3), keepdim=True)), "joins tensors of shapes"),
    "concat rows": (plain(lambda x: torch.cat([x, x], 2)), "along dimension 2; join channels"),
    "constant per pixel": (
        plain(lambda x: x + torch.rand(12, 10)),
        "differs by row or column|random",
    ),
    "concat ones": (
        plain(lambda x: torch.cat([torch.ones(2, 1, 12, 10), x], 1)),
        "joins constants",
    ),
    "product": (plain(lambda x: x * x), "multiplies two tensors"),
    "quotient": (plain(lambda x: 1 / x), "reciprocal|divides by a tensor"),
    "batch lost": (plain(lambda x: x.flatten()), "loses the batch of 2 images"),
    "batch moved": (plain(lambda x: x.view(6, 2, 12, 10).transpose(0, 1)), "loses the batch"),
    "unflatten": (
        Function(lambda s, x: s.c(x.view(-1, 12, 6, 10)), c=nn.Conv2d(12, 2, 1)),
        r"reshapes \(6, 12, 10\) to \(12, 6, 10\)",
    ),
    "linear of rows": (nn.Linear(10, 3), "no layer|flatten it first|loses the batch"),
    "random": (plain(lambda x: x + torch.randn(6, 1, 1)), "random numbers"),
    "indices": (
        Function(lambda s, x: s.p(x)[1].float(), p=nn.MaxPool2d(2, return_indices=True)),
        "only its first result",
    ),
    "two inputs": (TwoInputs(), "torch.export cannot trace TwoInputs"),
    "two outputs": (plain(lambda x: (x + 1, x + 2)), "Function returns 2 tensors"),
    "constant output": (plain(lambda x: torch.ones(3)), "does not depend on its input"),
    "nothing to do": (nn.Identity(), "it has no layer to run"),
    "branches": (Gate(), "torch.export cannot trace Gate"),
    "wrong shape": (nn.Conv2d(5, 2, 1), r"cannot trace Conv2d with an input of \(2, 6, 12, 10\)"),
    "integers": (plain(lambda x: x.int().float()), "it makes torch.int32 of the data"),
    "empty clip": (plain(lambda x: x.clamp(2, 1)), r"empty range 2\.0 \.\. 1\.0"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_names_the_node(name):
    module, message = REFUSALS[name]
    with pytest.raises(NoMulError, match=message) as caught:
        load_module(module, IMAGE)
    assert "\n" not in str(caught.value)


def test_refusal_of_other_ranks():
    with pytest.raises(NoMulError, match=r"has the shape \(2, 3, 9\)"):
        load_module(nn.Conv1d(3, 2, 3), (3, 9))


@pytest.mark.parametrize("value, kind", [(np.nan, "NaN"), (np.inf, "infinite")])
@pytest.mark.parametrize("tensor", ["0.weight", "0.bias", "1.running_mean", "1.running_var"])
def test_weights_that_are_no_numbers_are_named(value, kind, tensor):
    module = nn.Sequential(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4))
    with torch.no_grad():
        module.state_dict()[tensor].view(-1)[0] = value
    with pytest.raises(NoMulError, match=rf"^{tensor} has {kind} values"):
        load_module(module, IMAGE)


def test_batch_norm_without_variance_is_refused():
    module = nn.Sequential(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4, eps=0.0))
    module[1].running_var.zero_()
    with pytest.raises(NoMulError, match=r"1\.running_var has a variance of 0 or less"):
        load_module(module, IMAGE)
    module[1].running_var.fill_(1e-40)
    module[1].weight.data.fill_(1e38)
    with pytest.raises(NoMulError, match="0 has weights beyond float32 after folding"):
        load_module(module, IMAGE)


def test_a_wrong_shape_is_one_line_and_no_logged_traceback(caplog):
    with pytest.raises(NoMulError, match=r"cannot trace Linear .*[^.]; check the input shape"):
        load_module(nn.Linear(20, 4), (20, 1, 1))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
