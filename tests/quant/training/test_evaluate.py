"""Trained weights in floating point against the integer reference: the same outputs, bit by bit."""

import numpy as np
import pytest
import torch

from quant.importers import load
from quant.networks import NETWORKS
from quant.numbers import count_terms
from quant.quantize import quantize
from quant.quantized import QConv
from quant.reference import predict
from quant.training.evaluate import evaluate
from quant.training.methods.nbq import NBitOptions, NBitTraining


@pytest.mark.parametrize(
    ("name", "bits"), [("lenet", 1), ("lenet", 2), ("resnet8", 3), ("lenet", 4), ("resnet8", 5)]
)
def test_reference_gives_what_training_left(name, bits):
    torch.manual_seed(0)
    trainable = NETWORKS[name]
    x = torch.randn(40, *trainable.input_shape)
    model = trainable.make()
    model(x)  # statistics of batch norm
    method = NBitTraining(NBitOptions(bits=bits, start="weights", thresholds="moments"))
    plain = method.finish(method.wrap(model.eval(), x))
    graph = load(plain, trainable.input_shape)
    images = x.numpy()
    qgraph = quantize(graph, images[:30], f"nbq{bits}")
    for layer in qgraph.layers:
        assert not isinstance(layer, QConv) or count_terms(layer.weight).max() <= 1
    expected = evaluate(graph, qgraph, images, batch=16)
    assert np.array_equal(predict(qgraph, images).reshape(40, -1), expected)
    assert np.unique(expected).size > 20
