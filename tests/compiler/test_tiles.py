import itertools

import numpy as np
import pytest

from compiler.layout import Layout
from compiler.nest import sequence
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile, tiles
from quant.numbers import Format


def written(tile, tensor):
    """Addresses in the order of the walk, and those that MEMBERS lets be written."""
    walk = tile.walk(tensor)
    counts = [level.count for level in walk.levels]
    addresses = sequence(walk.address, counts, [level.stride for level in walk.levels])
    last_level, count = tile.tail
    level = 3 if last_level else 1
    index = np.arange(len(addresses))
    last = index // int(np.prod(counts[:level])) % counts[level] == counts[level] - 1
    return addresses[~last | (index % tile.members < count)]


@pytest.mark.parametrize("size", [(1, 1), (5, 4), (3, 7)])
@pytest.mark.parametrize(
    "blocks, split, pixels, pitch",
    [(1, 1, 1, 1), (3, 1, 2, 3), (3, 2, 1, 5), (3, 4, 1, 3), (2, 1, 4, 3), (2, 2, 2, 2)],
)
@pytest.mark.parametrize("limit", [1, 3, 6, 100])
def test_tiles_cover_once_within_the_limit(size, blocks, split, pixels, pitch, limit):
    height, width = size
    layout = Layout.default(4 * blocks, 4)
    tensor = PlacedTensor("x", (4 * blocks, *size), Format(8, True, 0), 10, layout, pitch)
    seen = []
    for tile in tiles(height, width, blocks, split, pixels, limit):
        assert tile.words <= limit * tile.groups
        assert tile.walk(tensor).words == tile.words * tile.members
        assert tile.parameters(0).words == tile.words * tile.members
        seen += written(tile, tensor).tolist()
    positions = range(height * width)
    expected = [10 + p * pitch + b for p, b in itertools.product(positions, range(blocks))]
    assert sorted(seen) == expected


def test_parameters_are_the_member_s():
    walk = Tile(0, 1, 0, 2, 4, 2, 2).parameters(7)
    counts = [level.count for level in walk.levels]
    words = sequence(walk.address, counts, [level.stride for level in walk.levels])
    assert words.tolist() == [7, 8, 7, 8, 9, 10, 9, 10]


def test_both_tails_are_refused():
    with pytest.raises(ValueError, match="beyond the last column and the last block"):
        _ = Tile(0, 1, 0, 3, 3, 2, 2).tail


def test_uneven_members_are_refused():
    layout = Layout.default(8, 4)
    tensor = PlacedTensor("x", (8, 1, 2), Format(8, True, 0), 0, layout, 3)
    with pytest.raises(ValueError, match="pitch 3 does not suit 2 blocks"):
        Tile(0, 1, 0, 2, 2, 2, 2).walk(tensor)
