"""Tiles: parts of an output that one run makes."""

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.nest import Level, Walk
from compiler.tensor import PlacedTensor

__all__ = ["Tile", "tiles"]


@dataclass(frozen=True)
class Tile:
    """A box of output words."""

    row: int
    rows: int
    column: int
    columns: int
    block: int
    blocks: int

    @property
    def words(self) -> int:
        """Words of the box."""
        return self.rows * self.columns * self.blocks

    def walk(self, tensor: PlacedTensor) -> Walk:
        """The tile's words of a tensor: column fastest, then row, then block."""
        _, height, width = tensor.shape
        first = (self.block * height + self.row) * width + self.column
        levels = Level(self.columns, 1), Level(self.rows, width), Level(self.blocks, height * width)
        return Walk(levels, tensor.address + first)


def tiles(height: int, width: int, blocks: int, limit: int, whole: bool = False) -> Iterator[Tile]:
    """Boxes of at most ``limit`` words that cover ``blocks`` maps.

    Whole maps where one fits, else whole rows, else parts of a row. With ``whole`` every tile has
    all blocks, and the limit is for the words of one of them.

    >>> [tile.words for tile in tiles(5, 4, 2, 8)]
    [8, 8, 4, 8, 8, 4]
    """
    group = blocks if whole else max(1, limit // (height * width))
    columns = min(width, limit)
    rows = max(1, min(height, limit // width))
    for block in range(0, blocks, group):
        for row in range(0, height, rows):
            for column in range(0, width, columns):
                yield Tile(
                    row,
                    min(rows, height - row),
                    column,
                    min(columns, width - column),
                    block,
                    min(group, blocks - block),
                )
