"""Accuracy after quantization, on a part of the test images."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import accuracy
from benchmarks.accuracy import NETWORKS, RESULTS, SCHEMES, main, measure, top1

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


ROOT = Path(__file__).parents[2]
KEPT = json.loads(RESULTS.read_text())


@pytest.mark.parametrize(
    ("network", "scheme", "bar"),
    [
        ("resnet20", "log5", 0.3),
        ("resnet20", "log4", 0.8),
        ("resnet20-original", "log5", 1.0),
        ("resnet20-original", "log4", 1.5),
        ("resnet8", "log5", 1.0),
        ("resnet8", "log4", 1.5),
    ],
)
def test_committed_losses_reach_their_bars(network, scheme, bar):
    assert KEPT[f"{network}.{scheme}.loss"] <= bar
    assert KEPT[f"{network}.{scheme}.loss"] == pytest.approx(
        KEPT[f"{network}.float"] - KEPT[f"{network}.{scheme}.top1"]
    )


def test_the_documents_show_the_committed_losses():
    text = (ROOT / "docs" / "quantizers.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| (-?[\d.]*) \| (-?[\d.]*) \| (-?[\d.]*) \|$", text, re.M)
    assert [scheme for scheme, *_ in rows] == list(SCHEMES)
    for scheme, *losses in rows:
        kept = [KEPT.get(f"{network}.{scheme}.loss") for network in NETWORKS]
        assert losses == ["-" if loss is None else f"{loss:.2f}" for loss in kept], scheme


def test_figures_are_merged_into_the_kept_ones(tmp_path, monkeypatch):
    path = tmp_path / "accuracy.json"
    path.write_text('{"resnet8.w3.loss": 3.0, "resnet8.w4.loss": 9.0}')

    def measured(schemes, networks, report):
        report("measuring")
        (network,) = networks
        figures = {"top1": 86.0, "loss": 2.0, "images_per_second": 100.0}
        found = {f"{network}.{scheme}.{key}": v for scheme in schemes for key, v in figures.items()}
        return {f"{network}.float": 88.0, **found}

    monkeypatch.setattr(accuracy, "RESULTS", path)
    monkeypatch.setattr(accuracy, "measure", measured)
    arguments = ["w4", "log4", "--network", "resnet8"]
    unsaved = CliRunner().invoke(main, arguments)
    assert unsaved.exit_code == 0 and "resnet8  log4    88.00" in unsaved.stdout
    assert json.loads(path.read_text())["resnet8.w4.loss"] == 9.0
    assert CliRunner().invoke(main, [*arguments, "--save"]).exit_code == 0
    found = json.loads(path.read_text())
    assert (found["resnet8.w3.loss"], found["resnet8.w4.loss"]) == (3.0, 2.0)
    assert "resnet20.float" not in found
    assert CliRunner().invoke(main, ["--save"]).exit_code == 0
    found = json.loads(path.read_text())
    keys = {f"{network}.{scheme}.loss" for network in NETWORKS for scheme in SCHEMES}
    assert keys <= set(found)
