"""Layers that go past the engine: their tiles, and how each reads its input."""

from collections.abc import Iterator

from compiler.mapping import LARGEST_COUNT
from compiler.nest import Level, Walk
from compiler.tensor import PlacedTensor
from compiler.tiles import Tile, tiles
from quant.errors import NoMulError
from quant.graph import Window
from quant.quantized import QUpsample

__all__ = ["enlargements", "windows"]


def windows(
    window: Window, source: PlacedTensor, output: PlacedTensor, split: int, pixels: int
) -> Iterator[tuple[Tile, Walk]]:
    """Tiles of an output, and the first block of the input's words that they read.

    A tile's words hold ``split`` blocks of ``pixels`` neighbouring columns. The walk has the levels
    [columns of the window][its rows][words of a row][rows].
    """
    width, pitch = source.shape[2], source.pitch
    across, down = window.stride[1] * pitch, window.stride[0] * width * pitch
    right, below = window.dilation[1] * pitch, window.dilation[0] * width * pitch
    blocks = output.layout.blocks
    _, rows, columns = output.shape
    for tile in tiles(rows, columns, blocks, split, pixels, LARGEST_COUNT // -(-blocks // split)):
        row = tile.row * window.stride[0] - window.padding[0]
        column = (tile.column * window.stride[1] - window.padding[1]) * pitch
        levels = (
            Level(window.kernel[1], right, column=right),
            Level(window.kernel[0], below, row=window.dilation[0]),
            Level(tile.word_columns, pixels * across, column=pixels * across),
            Level(tile.rows, down, row=window.stride[0]),
        )
        yield tile, Walk(levels, source.address + row * width * pitch + column, row, column)


def enlargements(
    layer: QUpsample, source: PlacedTensor, output: PlacedTensor, split: int
) -> Iterator[tuple[Tile, Walk]]:
    """Tiles of an enlarged map, and the walks that read each word ``factor`` times.

    Loops that do not move the address repeat what they read. A tile's words hold ``split`` blocks.

    Errors: :class:`NoMulError` for a row that is longer than a run.
    """
    _, height, width = source.shape
    rows, columns = layer.factor
    pitch, blocks = source.pitch, output.layout.blocks
    limit = LARGEST_COUNT // -(-blocks // split)
    if columns * rows * width > limit:
        raise NoMulError(
            f"layer {layer.name}: a row of {width} columns, enlarged {columns} x {rows}, is more "
            f"than a run can make; use smaller images"
        )
    for tile in tiles(height, width, blocks, split, 1, limit // (rows * columns)):
        levels = (
            Level(columns),
            Level(tile.columns, pitch, column=pitch),
            Level(rows),
            Level(tile.rows, width * pitch, row=1),
            Level(tile.groups, split, column=split),
        )
        first = (tile.row * width + tile.column) * pitch
        larger = Tile(
            tile.row * rows,
            tile.rows * rows,
            tile.column * columns,
            tile.columns * columns,
            blocks,
            split,
            1,
        )
        yield larger, Walk(levels, source.address + first, tile.row, tile.column * pitch)
