"""Networks without branches."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from quant.datasets import mnist
from quant.networks import find_trainable
from quant.training.trained import load_trained

TRAINED = Path(__file__).parents[2] / "benchmarks" / "trained" / "lenet16_float.pt"


@pytest.mark.parametrize("name", ["lenet", "lenet16", "nin"])
def test_outputs_are_ten_logits(name):
    trainable = find_trainable(name)
    with torch.no_grad():
        outputs = trainable.make().eval()(torch.zeros(2, *trainable.input_shape))
    assert outputs.shape == (2, 10)


def test_channels_of_lenet16_fill_words_of_sixteen():
    weights = [p for p in find_trainable("lenet16").make().parameters() if p.ndim > 1]
    assert [len(weight) for weight in weights] == [16, 32, 128, 10]
    assert sum(weight.numel() for weight in weights) == 116_880


@pytest.mark.skipif("NOMUL_DATA" not in os.environ, reason="needs MNIST in NOMUL_DATA")
def test_the_trained_lenet16_reads_digits():
    trained, data = load_trained(TRAINED), mnist()
    x = trained.preprocessing(data.test_images[:500])
    with torch.no_grad():
        found = trained.model(torch.from_numpy(x)).argmax(dim=1).numpy()
    assert np.mean(found == data.test_labels[:500]) > 0.98
