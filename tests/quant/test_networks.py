"""The pretrained networks: published accuracy, import, and what is refused."""

import os

import numpy as np
import pytest
import torch

from quant.datasets import cifar10_lossless
from quant.errors import NoMulError
from quant.floating import compare_import, run_float
from quant.graph import Conv
from quant.importers import load
from quant.networks import PRETRAINED, Preprocessing, ResNet8, ResNet20, pretrained

needs_files = pytest.mark.skipif(
    not {"NOMUL_DATA", "NOMUL_MODELS"} <= set(os.environ),
    reason="NOMUL_DATA and NOMUL_MODELS are not set",
)

# Right answers of 1,000, parameters and millions of multiply-adds, as published with the files.
FIGURES = {
    "resnet20": (908, 269_722, 40.6),
    "resnet20-original": (915, 269_722, 40.6),
    "resnet8": (881, 77_706, 12.5),
}


@needs_files
@pytest.mark.parametrize("name", PRETRAINED)
def test_published_accuracy_after_import(name):
    right, parameters, millions = FIGURES[name]
    module, preprocessing = pretrained(name)
    assert not module.training
    assert sum(p.numel() for p in module.parameters()) == parameters
    data = cifar10_lossless()
    x = preprocessing(data.test_images)
    graph = load(module, x.shape[1:])
    with torch.no_grad():
        expected = module(torch.from_numpy(x[:50])).numpy()
    assert compare_import(graph, expected, x[:50]) < 1e-5
    scores = run_float(graph, x, keep=[graph.output])[graph.output].reshape(len(x), -1)
    assert (scores.argmax(1) == data.test_labels).sum() == right
    products = sum(
        layer.weight.size * layer.shape[1] * layer.shape[2]
        for layer in graph.layers
        if isinstance(layer, Conv) and not layer.name.endswith("shortcut")
    )
    assert products / 1e6 == pytest.approx(millions, abs=0.05)


def test_resnet20_has_no_layer_but_its_own(tmp_path):
    graph = load(ResNet20(), (3, 32, 32))
    graph.save(tmp_path / "resnet20.graph")
    again = load(tmp_path / "resnet20.graph")
    assert [layer.shape for layer in again.layers] == [layer.shape for layer in graph.layers]
    names = [layer.name for layer in graph.layers]
    assert names[:4] == ["conv1", "relu", "layer1.0.conv1", "layer1.0.relu1"]
    assert names[-2:] == ["pool", "linear"]
    assert [name for name in names if "shortcut" in name] == [
        "layer2.0.shortcut",
        "layer3.0.shortcut",
    ]
    assert not any("bn" in name for name in names)


def test_resnet8_pads_at_the_bottom_and_right_where_it_strides():
    graph = load(ResNet8(), (3, 32, 32))
    windows = {layer.name: layer.window for layer in graph.layers if isinstance(layer, Conv)}
    assert windows["stage1.conv1"].padding == (1, 1, 1, 1)
    assert windows["stage2.conv1"].padding == (0, 0, 1, 1)
    assert windows["stage3.conv1"].padding == (0, 0, 1, 1)


def test_preprocessing():
    images = np.arange(2 * 4 * 3 * 2, dtype=np.uint8).reshape(2, 4, 3, 2)
    x = Preprocessing(0.5, (1.0, 2.0), (4.0, 8.0))(images)
    assert x.dtype == np.float32 and x.shape == (2, 2, 4, 3)
    assert x[1, 1, 2, 0] == (images[1, 2, 0, 1] * 0.5 - 2) / 8
    same = Preprocessing(0.5, (1.0, 2.0), (4.0, 8.0))
    assert same == Preprocessing(0.5, (1.0, 2.0), (4.0, 8.0))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 3, 4, 4), np.uint8),
    ],
)
def test_other_batches_are_refused(images):
    preprocessing = PRETRAINED["resnet8"].preprocessing
    with pytest.raises(NoMulError, match=r"a batch of images is .*; give uint8 with the shape"):
        preprocessing(images)


def test_missing_and_broken_files_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("NOMUL_MODELS", raising=False)
    with pytest.raises(NoMulError, match=r"no pretrained network is named vgg; take one of .*resn"):
        pretrained("vgg")
    with pytest.raises(
        NoMulError, match="set NOMUL_MODELS to the folder that holds resnet8_mlperf"
    ):
        pretrained("resnet8")
    with pytest.raises(
        NoMulError, match=r"resnet8_mlperf_tiny.pt does not exist; the model folder"
    ):
        pretrained("resnet8", tmp_path)
    path = tmp_path / "resnet8_mlperf_tiny.pt"
    torch.save(ResNet20().state_dict(), path)
    content = path.read_bytes()
    for broken in (content, content[: len(content) // 2], b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(
            NoMulError, match=r"does not hold a resnet8 \(.*\); get the file"
        ) as seen:
            pretrained("resnet8", tmp_path)
        assert "\n" not in str(seen.value)
    torch.save([1, 2], path)
    with pytest.raises(NoMulError, match="does not hold a resnet8"):
        pretrained("resnet8", tmp_path)
