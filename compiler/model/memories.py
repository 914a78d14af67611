"""What memories take of a part: block RAM and look-up tables, by the rule that Yosys maps them by.

A memory of a machine has one reading and one writing port of one width. Yosys takes the cheapest of
all shapes that a block RAM has, and look-up tables where they are cheaper still. Words of rows of
block RAMs that are written by bytes of 9 bits may share a RAM. ``depth`` need be no power of two.
"""

import math
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Mapped", "map_memory"]

HALF, FULL = 129, 257
"""Costs of 18 and of 36 kbit."""
SHAPES = (
    *((1 << 14 - n, width, 1) for n, width in enumerate((1, 2, 4, 9, 18, 36))),
    *((1 << 15 - n, width, 2) for n, width in enumerate((1, 2, 4, 9, 18, 36, 72))),
)
"""Depth, width and halves of 36 kbit of each shape."""
BYTE = 9


class Tables(NamedTuple):
    """A unit of look-up tables as memory: cost, tables, and width where it is 32 or 64 deep."""

    cost: int
    tables: int
    widths: dict[int, int]


TABLES = {"xc7": Tables(8, 4, {32: 6, 64: 3}), "xcup": Tables(16, 8, {32: 14, 64: 7})}


class Mapped(NamedTuple):
    """What a memory takes.

    Parameters
    ----------
    bram : float
        Block RAMs of 36 kbit; one of 18 kbit is a half.
    tables : int
        Look-up tables as memory.
    choice : int
        Look-up tables that choose among rows of block RAMs or of tables.
    ff : int
        Registers of what is read from tables; block RAMs have their own.
    """

    bram: float
    tables: int
    choice: int
    ff: int

    @property
    def lut(self) -> int:
        """All look-up tables."""
        return self.tables + self.choice


@lru_cache(maxsize=1 << 16)
def map_memory(width: int, depth: int, family: str) -> Mapped:
    """What a memory takes on a family, ``xc7`` or ``xcup``.

    >>> map_memory(32, 4096, "xc7"), map_memory(464, 64, "xc7")
    (Mapped(bram=4.0, tables=0, choice=0, ff=0), Mapped(bram=0.0, tables=620, choice=0, ff=464))
    """
    cost, rows, halves = min(block_rams(width, depth, *shape) for shape in SHAPES)
    tables = TABLES[family]
    units, deep = min(
        (math.ceil(width / narrow) * math.ceil(depth / deep), math.ceil(depth / deep))
        for deep, narrow in tables.widths.items()
    )
    if units * tables.cost < cost:
        return Mapped(0.0, units * tables.tables, choice(width, deep), width)
    return Mapped(halves / 2, 0, choice(width, rows), 0)


def choice(width: int, rows: int) -> int:
    """Look-up tables that choose a word among rows: one of four takes a table a bit."""
    return width * math.ceil((rows - 1) / 3)


def block_rams(
    width: int, depth: int, ram_depth: int, ram_width: int, halves: int
) -> tuple[int, int, int]:
    """Cost, rows, and halves of 36 kbit, of a memory made of one shape of block RAM."""
    rows = math.ceil(depth / ram_depth)
    if ram_width >= BYTE:
        count = math.ceil(rows * math.ceil(width / BYTE) / (ram_width // BYTE))
    else:
        count = rows * math.ceil(width / ram_width)
    return count * (HALF if halves == 1 else FULL), rows, count * halves
