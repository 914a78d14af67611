"""Tiles: parts of an output that one run makes, and the order of their words."""

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.nest import Level, Walk
from compiler.tensor import PlacedTensor

__all__ = ["Tile", "tiles"]


@dataclass(frozen=True)
class Tile:
    """A box of an output, made in words of sums of several members each.

    Parameters
    ----------
    row, rows, column, columns : int
        First position and size in the map.
    blocks : int
        How many; all, or those from ``block`` on.
    split : int
        Blocks of a word of sums: member m is block ``m % split`` of pixel ``m // split``.
    pixels : int
        Neighbouring columns of a word of sums.
    block : int
        The first, a multiple of ``split``.
    """

    row: int
    rows: int
    column: int
    columns: int
    blocks: int
    split: int
    pixels: int
    block: int = 0

    @property
    def members(self) -> int:
        """Feature words of a word of sums."""
        return self.split * self.pixels

    @property
    def word_columns(self) -> int:
        """Words of sums of a row."""
        return -(-self.columns // self.pixels)

    @property
    def groups(self) -> int:
        """Groups of ``split`` blocks."""
        return -(-self.blocks // self.split)

    @property
    def words(self) -> int:
        """Words of sums of the box."""
        return self.rows * self.word_columns * self.groups

    @property
    def outputs(self) -> int:
        """Feature words of the box."""
        return self.rows * self.columns * self.blocks

    @property
    def tail(self) -> tuple[int, int]:
        """``last_level`` and ``count`` of ``MEMBERS``: what the last word of a row, or all words
        of the last group, hold of the box."""
        columns, blocks = self.columns % self.pixels, self.blocks % self.split
        if columns and blocks:
            raise ValueError("a word of sums has members beyond the last column and the last block")
        if columns:
            return 0, columns * self.split
        return (1, blocks) if blocks else (0, self.members)

    def walk(self, tensor: PlacedTensor) -> Walk:
        """The tile's words of a tensor in the order [member][columns][rows][groups].

        Errors: ``ValueError`` where the members' words are not evenly spaced.
        """
        width, pitch = tensor.shape[2], tensor.pitch
        if self.split == 1:
            step = pitch
        elif self.pixels == 1 or pitch == self.split:
            step = 1
        else:
            raise ValueError(f"pitch {pitch} does not suit {self.split} blocks of several pixels")
        return Walk(
            (
                Level(self.members, step),
                Level(self.word_columns, self.pixels * pitch),
                Level(self.rows, width * pitch),
                Level(self.groups, self.split),
            ),
            tensor.address + (self.row * width + self.column) * pitch + self.block,
        )

    def parameters(self, first: int) -> Walk:
        """The words of the blocks' parameters, in the order of :meth:`walk`.

        ``first`` is that of the layer's first block.
        """
        return Walk(
            (
                Level(self.split, 1),
                Level(self.pixels),
                Level(self.rows * self.word_columns),
                Level(self.groups, self.split),
            ),
            first + self.block,
        )


def tiles(
    height: int, width: int, blocks: int, split: int, pixels: int, limit: int
) -> Iterator[Tile]:
    """Boxes of all blocks and at most ``limit`` words of sums a block that cover a map.

    Whole rows where one fits, else parts of a row.

    >>> [tile.words for tile in tiles(5, 4, 1, 1, 2, 4)]
    [4, 4, 2]
    """
    columns = min(width, limit * pixels)
    rows = max(1, min(height, limit // -(-width // pixels)))
    for row in range(0, height, rows):
        for column in range(0, width, columns):
            yield Tile(
                row,
                min(rows, height - row),
                column,
                min(columns, width - column),
                blocks,
                split,
                pixels,
            )
