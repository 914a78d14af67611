import numpy as np
import pytest

from compiler.layout import Layouts
from compiler.prepare import prepare
from compiler.rewrite import unfolding_of
from compiler.tiling.boxes import Box, boxes, channels_of, cut, cut_layout, divisible
from quant.errors import NoMulError
from quant.quantized import QConcat, QUpsample
from quant.reference import run_layer, run_reference
from tests.random_networks import NetworkBuilder, random_codes, random_network

LANES = 4


def stored(tensor, codes):
    return tensor.unfolding.unfold(codes)


def random_box(source, layer, layout):
    _, height, width = layer.shape
    down, across = layer.factor if isinstance(layer, QUpsample) else (1, 1)
    row, column = (
        int(source.integers(0, n // s)) * s for n, s in ((height, down), (width, across))
    )
    rows = int(source.integers(1, (height - row) // down + 1)) * down
    columns = int(source.integers(1, (width - column) // across + 1)) * across
    block, blocks = 0, layout.blocks
    if divisible(layer):
        block = int(source.integers(0, layout.blocks))
        blocks = int(source.integers(1, layout.blocks - block + 1))
    # An enlarged map is made in whole repetitions.
    steps = (1, 1) if isinstance(layer, QUpsample) else source.integers(1, 3, 2).tolist()
    rows, columns = (-(-n // step) for n, step in zip((rows, columns), steps))
    return Box(row, rows, column, columns, block, blocks, *steps)


def part(codes, layout, box):
    row, column, _ = box.end
    rows = slice(box.row, row, box.row_step)
    columns = slice(box.column, column, box.column_step)
    return codes[:, channels_of(layout, box)][:, :, rows, columns]


@pytest.mark.parametrize("seed", range(12))
def test_a_tile_computes_its_box(seed):
    """Random boxes of all layers of random networks, as the compiler runs them."""
    source = np.random.default_rng(seed)
    graph = random_network(seed)
    prepared = prepare(graph, LANES, Layouts(LANES), 1, unfolding_of)
    tensors = prepared.tensors
    codes = random_codes(graph, 2, source)
    values = {graph.input: stored(tensors[graph.input], codes)}
    found = run_reference(graph, codes)
    checked = 0
    for step in prepared.steps:
        layer = step.layer
        formats = [tensors[name].format for name in layer.inputs]
        inputs = [values[name] for name in layer.inputs]
        values[layer.name] = run_layer(layer, inputs, formats)
        if layer.name in found:
            assert np.array_equal(values[layer.name], found[layer.name])
        names = (*layer.inputs, layer.name)
        layouts = [tensors[name].layout for name in names]
        shapes = [values[name].shape[1:] for name in names]
        for _ in range(4):
            box = random_box(source, layer, layouts[-1])
            try:
                tile = cut(layer, box, shapes, layouts)
            except NoMulError as error:
                assert "see padding alone" in str(error)
                continue
            parts = [part(x, lay, b) for x, lay, b in zip(inputs, layouts, tile.inputs)]
            made = run_layer(tile.layer, parts, formats)
            assert made.shape[1:] == tile.layer.shape
            assert np.array_equal(made, part(values[layer.name], layouts[-1], box))
            assert cut_layout(layouts[-1], box).channels == tile.layer.shape[0]
            checked += 1
        # Concatenations are not run: their parts stand side by side.
        for other in graph.layers:
            if isinstance(other, QConcat) and set(other.inputs) <= set(values):
                values[other.name] = found[other.name]
    assert checked


def test_boxes_cover_a_tensor_once():
    times = np.zeros((5, 7, 3), np.int64)
    for box in boxes(5, 7, 3, 2, 3, 2):
        times[
            box.row : box.row + box.rows,
            box.column : box.column + box.columns,
            box.block : box.block + box.blocks,
        ] += 1
        assert box.words <= 2 * 3 * 2
    assert (times == 1).all()


def test_impossible_boxes():
    source = np.random.default_rng(0)
    net = NetworkBuilder((3, 4, 4), source)
    net.upsample("input", (2, 2))
    layer = net.layers[-1]
    layouts = [
        prepare(net.graph(), LANES, Layouts(LANES), 1, unfolding_of).tensors["input"].layout
    ] * 2
    with pytest.raises(ValueError, match="whole repetitions"):
        cut(layer, Box(1, 2, 0, 2, 0, 1), [layer.shape, layer.shape], layouts)
