"""Codebook columns: adders of gated activations, one set for each value, and tables."""

from compiler.model.logic import MEASURED, Terms
from rtl.architecture import Architecture
from rtl.codebook.column import CodebookColumn
from rtl.codebook.multiples import CODE_BITS, VALUES
from rtl.engines.conv5x5 import Conv5x5Config

__all__ = ["dsp_blocks", "memory", "terms"]


def terms(architecture: Architecture, family: str) -> Terms:
    """Of each element its index, and for each value a gate and its share of a tree of adders; of
    each column the products of the sums' digits."""
    c: Conv5x5Config = architecture.engine_config
    columns = c.lanes * c.groups
    elements = columns * c.column_lanes
    grown = {
        # Three at a time: half an adder an element, of bits between first and last level.
        "trees": elements * (c.activation_bits + 3),
        "digits": columns * CodebookColumn.digits(c.column_lanes, c.activation_bits),
        "columns": columns,
    }
    gates = CODE_BITS + VALUES * (1 + c.activation_bits)
    return {"lut": grown, "ff": {**grown, MEASURED: elements * gates}}


def dsp_blocks(config: Conv5x5Config) -> int:
    """None: 0."""
    return 0


def memory(config: Conv5x5Config) -> None:
    """None: the tables of products are look-up tables."""
