"""Accuracy after quantization, on a part of the test images."""

import os

import numpy as np
import pytest

from benchmarks.accuracy import measure, top1

needs_data = pytest.mark.skipif(
    not (os.environ.get("NOMUL_MODELS") and os.environ.get("NOMUL_DATA")),
    reason="needs the folders NOMUL_MODELS and NOMUL_DATA",
)


def test_top1():
    outputs = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert top1(outputs, np.array([1, 0, 1, 0])) == 75.0


@needs_data
def test_eight_bits_lose_little():
    labels: list[str] = []
    figures = measure(["int8"], ["resnet8"], test_images=300, report=labels.append)
    assert labels == ["resnet8 float", "resnet8 int8"]
    assert figures["resnet8.float"] > 80
    assert abs(figures["resnet8.int8.loss"]) < 2
    assert figures["resnet8.int8.top1"] == pytest.approx(
        figures["resnet8.float"] - figures["resnet8.int8.loss"]
    )
    assert figures["resnet8.int8.images_per_second"] > 0
