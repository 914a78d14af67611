"""Weights of codebooks through quantization: exact, in few codes, or refused."""

import numpy as np
import pytest
import torch

from quant.errors import NoMulError
from quant.graph import Conv, Window
from quant.importers import load
from quant.layer_inputs import LayerInputs
from quant.networks import NETWORKS
from quant.numbers import Format
from quant.quantize import quantize
from quant.quantized import QConv
from quant.reference import predict
from quant.schemes import find_scheme
from quant.training.evaluate import evaluate
from quant.training.methods.clipq import ClipQ, ClipQOptions

INPUTS = LayerInputs(np.zeros((1, 2, 1, 1), int), Format(8, False, 5), np.zeros((1, 2, 1, 1)), True)


def conv(weight: list[list[float]]) -> Conv:
    array = np.array(weight, np.float32)[:, :, None, None]
    return Conv("c", ("x",), (len(array), 1, 1), array, np.zeros(len(array)), Window())


def test_q3_5_values_are_8_bit_codes():
    codes, fraction = find_scheme("clipq2").quantize_weights(
        conv([[-4.0, 3.96875], [0.03125, 0.0]]), INPUTS
    )
    assert codes[:, :, 0, 0].tolist() == [[-128, 127], [1, 0]] and fraction.tolist() == [5, 5]


def test_other_weights_are_refused():
    with pytest.raises(NoMulError, match="c has weights of no codebook of 3 values of 8 bits; tra"):
        find_scheme("clipq2").quantize_weights(conv([[1.0, 3.0], [5.0, 7.0]]), INPUTS)
    find_scheme("clipq3").quantize_weights(conv([[1.0, 3.0], [5.0, 7.0]]), INPUTS)


@pytest.mark.parametrize("suffix", ["", "q5"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet", {"bits": 2}),
        ("lenet", {"bits": 1, "clip_of": "all"}),
        ("lenet", {"bits": 5, "terms": 2}),
        ("resnet8", {"bits": 2, "scale": "fixed"}),
        ("resnet8", {"bits": 3, "intervals": "means"}),
    ],
)
def test_reference_gives_what_training_left(name, options, suffix):
    torch.manual_seed(0)
    trainable = NETWORKS[name]
    x = torch.randn(24, *trainable.input_shape)
    model = trainable.make()
    model(x)  # statistics of batch norm
    method = ClipQ(ClipQOptions(**options))
    plain = method.finish(method.wrap(model.eval(), x))
    graph = load(plain, trainable.input_shape)
    images = x.numpy()
    qgraph = quantize(graph, images[:16], f"clipq{options['bits']}{suffix}")
    for layer in qgraph.layers:
        if isinstance(layer, QConv):
            codes = np.unique(layer.weight[layer.weight != 0])
            assert len(codes) < 1 << options["bits"]
            assert codes.min() >= -128 and codes.max() <= 127
        if suffix:
            assert layer.format == Format(8, True, 5)
    expected = evaluate(graph, qgraph, images)
    assert np.array_equal(predict(qgraph, images).reshape(24, -1), expected)
