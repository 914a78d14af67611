"""``nomul quantize --report``: schemes side by side."""

import json

import numpy as np
import pytest

from nomul.comparison import compare_schemes
from nomul.images import Images, accuracy
from nomul.layers import quantized_rows
from nomul.sources import load_graph
from quant.floating import run_float
from quant.quantize import quantize
from quant.reference import predict
from tests.nomul.conftest import nomul

SHAPE = ("--input-shape", "3,6,6")


@pytest.fixture(scope="module")
def graph(files):
    return load_graph(files.network, (3, 6, 6), None).graph


def images(count: int = 70) -> Images:
    """More than a batch."""
    random = np.random.default_rng(3)
    x = random.normal(size=(count, 3, 6, 6)).astype(np.float32)
    return Images(x, random.integers(0, 10, count), "random")


def test_figures_are_those_of_the_whole_networks(graph):
    test, calls = images(), []
    found = compare_schemes(
        graph, ["int8", "w3"], test.x, test, "mse", True, lambda *call: calls.append(call)
    )
    exact = run_float(graph, test.x, keep=[graph.output])[graph.output]
    assert found.top1 == accuracy(exact, test)
    assert found.images == 70
    assert [call[:2] for call in calls] == [(i, 4) for i in range(5)]
    assert [call[2] for call in calls][:2] == ["quantize to int8", "measure int8"]
    for figures in found.schemes:
        qgraph = quantize(graph, test.x, figures.scheme)
        assert figures.top1 == accuracy(predict(qgraph, test.x), test)
        rows = [row for row in quantized_rows(graph, qgraph, test.x) if row.weights]
        assert [layer.name for layer in figures.layers] == [row.name for row in rows]
        for layer, row in zip(figures.layers, rows, strict=True):
            assert layer.weights == row.weights
            assert layer.output_sqnr == pytest.approx(row.sqnr)
        assert figures.output_sqnr == pytest.approx(rows[-1].sqnr)
    fine, coarse = found.schemes
    for better, worse in zip(fine.layers, coarse.layers, strict=True):
        assert better.weight_sqnr > worse.weight_sqnr + 10
        assert better.output_sqnr > worse.output_sqnr


def test_without_labels_there_is_no_top1(graph):
    test = Images(images().x, None, "random")
    found = compare_schemes(graph, ["w3"], test.x, test, "mse", False, lambda *call: None)
    assert found.top1 is None
    assert {layer.top1_alone for layer in found.schemes[0].layers} == {None}


def test_report(files, tmp_path):
    path = tmp_path / "figures.json"
    arguments = ("quantize", files.network, *SHAPE, "--images", files.images)
    result = nomul(*arguments, "--report", "int8, w4r+,int8", "--json", path)
    assert result.exit_code == 0, result.stderr
    found = json.loads(path.read_text())
    assert [figures["scheme"] for figures in found["schemes"]] == ["int8", "w4r+"]
    assert len(found["schemes"][0]["layers"]) == 3
    assert "int8 weights" in result.stdout and "w4r+ weights" in result.stdout
    assert "float top-1" in result.stdout and "network" in result.stdout
    assert not list(tmp_path.glob("*.qgraph"))


def test_report_of_images_without_labels(files, tmp_path):
    np.save(tmp_path / "images.npy", images(8).x)
    arguments = ("quantize", files.network, *SHAPE, "--images", tmp_path / "images.npy")
    result = nomul(*arguments, "--report", "w3")
    assert result.exit_code == 0, result.stderr
    assert "output" in result.stdout and "loss" not in result.stdout


def test_wrong_reports_are_refused(files, tmp_path):
    arguments = ("quantize", files.network, *SHAPE, "--images", files.images)
    result = nomul(*arguments, "--report", "int8,log9")
    assert result.exit_code == 1 and "there is no scheme 'log9'" in result.stderr
    result = nomul(*arguments, "--report", "int8", "-o", tmp_path / "x.qgraph")
    assert result.exit_code == 2 and "--report writes no graph" in result.stderr
