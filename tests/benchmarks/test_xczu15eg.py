import json

import pytest

from benchmarks.xczu15eg import (
    MEAN_BITS,
    NETWORKS,
    RESULTS,
    equally_good,
    gain,
    mean_bits,
    mixed,
)
from compiler.model.outline import outline
from quant.imagenet_shapes import imagenet_shape

COLUMNS = 64


def test_widths_keep_the_budget_and_the_channels():
    graph = outline(imagenet_shape("resnet18"))
    by_layer, error = mixed(graph, COLUMNS, False)
    by_channel, less = mixed(graph, COLUMNS, True)
    for found in (by_layer, by_channel):
        assert MEAN_BITS - 0.1 < mean_bits(graph, found) <= MEAN_BITS
    # Channels have a choice more, so the same bits cost less error.
    assert less < error
    layers = {layer.name: layer for layer in graph.layers}
    for name, groups in by_channel.layers.items():
        assert sum(count for count, _ in groups) == len(layers[name].weight)
        assert all(count % COLUMNS == 0 for count, _ in groups[:-1])


def test_equal_error_takes_fewer_bits():
    graph = outline(imagenet_shape("resnet18"))
    _, error = mixed(graph, COLUMNS, False)
    found = equally_good(graph, COLUMNS, error)
    assert mean_bits(graph, found) < MEAN_BITS - 0.1


def test_the_kept_study_reaches_its_bar():
    kept = json.loads(RESULTS.read_text())
    assert [*kept] == [*NETWORKS]
    for found in kept.values():
        assert gain(found) >= 0.25
        for one in found["precisions"].values():
            total = sum(row["cycles"] for row in one["layers"])
            assert one["milliseconds"] == pytest.approx(total / 200_000)
