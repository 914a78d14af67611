import itertools

import numpy as np
import pytest

from compiler.layout import Layout
from compiler.nest import sequence
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile, tiles
from quant.numbers import Format


@pytest.mark.parametrize(
    "height,width,blocks,limit,whole",
    [
        (*size, *rest)
        for size, rest in itertools.product(
            [(1, 1), (5, 4), (3, 7)],
            [(1, 1, False), (3, 6, False), (3, 100, False), (2, 8, True), (2, 3, True)],
        )
    ],
)
def test_tiles_cover_once_within_the_limit(height, width, blocks, limit, whole):
    tensor = PlacedTensor(
        "x", (4 * blocks, height, width), Format(8, True, 0), 10, Layout.default(4 * blocks, 4)
    )
    seen = []
    for tile in tiles(height, width, blocks, limit, whole):
        assert tile.words <= limit * (blocks if whole else 1)
        if whole:
            assert tile.blocks == blocks
        walk = tile.walk(tensor)
        counts = [level.count for level in walk.levels]
        seen += sequence(walk.address, counts, [level.stride for level in walk.levels]).tolist()
    assert sorted(seen) == np.arange(10, 10 + blocks * height * width).tolist()


def test_several_small_maps_make_one_tile():
    assert list(tiles(2, 2, 5, 8)) == [
        Tile(0, 2, 0, 2, 0, 2),
        Tile(0, 2, 0, 2, 2, 2),
        Tile(0, 2, 0, 2, 4, 1),
    ]
