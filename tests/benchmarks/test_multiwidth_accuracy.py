"""The accuracy figures of the widths, without measuring them."""

import numpy as np
import pytest

from benchmarks.multiwidth_accuracy import MULTIWIDTH_ACCURACY, NETWORKS, deviation, narrow_share
from quant.graph import AvgPool, Clip, Conv, Graph, Window
from quant.quantize import quantize


def test_deviation():
    exact = np.array([[3.0, 4.0]], np.float32)
    assert deviation(exact + np.array([[0.0, 0.5]]), exact) == pytest.approx(0.1)
    assert deviation(exact.astype(np.float64), exact) == 0


def test_every_network_has_its_bars():
    figures = {figure.key: figure for figure in MULTIWIDTH_ACCURACY.figures}
    assert len(figures) == len(MULTIWIDTH_ACCURACY.figures)
    for name in NETWORKS:
        assert figures[f"{name}.w8.loss"].holds(0.3, {})
        assert not figures[f"{name}.w8.loss"].holds(0.31, {})
        assert not figures[f"{name}.w16.loss"].holds(0.06, {})
        assert not figures[f"{name}.w16.error"].holds(0.011, {})


def test_kept_figures_have_known_keys():
    kept = MULTIWIDTH_ACCURACY.kept()
    assert kept and set(kept) <= set(MULTIWIDTH_ACCURACY.keys)


def test_share_of_narrow_work():
    rng = np.random.default_rng(0)
    shape = (2, 4, 4)

    def conv(name: str, source: str) -> Conv:
        weight = rng.standard_normal((2, 2, 1, 1)).astype(np.float32)
        return Conv(name, (source,), shape, weight, np.zeros(2, np.float32), Window())

    layers = (
        conv("a", "x"),
        Clip("r", ("a",), shape, 0.0, float("inf")),
        conv("b", "r"),
        AvgPool("p", ("b",), (2, 2, 2), Window((2, 2), (2, 2))),
        conv("c", "b"),
    )
    graph = Graph("net", "x", shape, layers, "c")
    x = rng.standard_normal((8, *shape)).astype(np.float32)
    assert narrow_share(quantize(graph, x)) == 1
    assert narrow_share(quantize(graph, x, widths={"x": 16})) == pytest.approx(2 / 3)
