"""Codebook columns: adders of gated activations, one set for each value, and tables."""

from compiler.model.logic import MEASURED, Terms
from rtl.architecture import Architecture
from rtl.codebook.column import CodebookColumn
from rtl.codebook.multiples import CODE_BITS, VALUES
from rtl.engines.conv5x5 import Conv5x5Config

__all__ = ["dsp_blocks", "memory", "terms", "tree_bits"]


COMPARED = VALUES / 2
"""Tables that compare an index with every value: two comparisons of two bits share one."""


def terms(architecture: Architecture, family: str) -> Terms:
    """A tree of adders for each value, comparisons, and the registers of indices and gates are
    counted; the rest is of columns, of their sums' digits, and of vectors."""
    c: Conv5x5Config = architecture.engine_config
    columns = c.lanes * c.groups
    elements = columns * c.column_lanes
    trees = columns * VALUES * tree_bits(c.column_lanes, c.activation_bits)
    rest = {
        "digits": columns * CodebookColumn.digits(c.column_lanes, c.activation_bits),
        "columns": columns,
        "vector": c.groups * c.column_lanes * c.activation_bits,
    }
    gates = elements * (CODE_BITS + VALUES * (1 + c.activation_bits))
    return {
        "lut": {**rest, MEASURED: trees + COMPARED * elements},
        "ff": {**rest, MEASURED: trees + gates},
    }


def tree_bits(operands: int, bits: int) -> int:
    """Bits of all sums of a tree that adds three unsigned numbers of ``bits`` at a time.

    >>> tree_bits(4, 8)
    28
    """
    total, largest = 0, (1 << bits) - 1
    sums = [largest] * operands
    while len(sums) > 1:
        sums = [sum(sums[first : first + 3]) for first in range(0, len(sums), 3)]
        total += sum(one.bit_length() for one in sums)
    return total


def dsp_blocks(config: Conv5x5Config) -> int:
    """None: 0."""
    return 0


def memory(config: Conv5x5Config) -> None:
    """None: the tables of products are look-up tables."""
