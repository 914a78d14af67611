"""Codebook columns: adders of gated activations, one set for each value, and tables."""

from compiler.model.logic import Terms
from rtl.architecture import Architecture
from rtl.codebook.column import CodebookColumn
from rtl.engines.conv5x5 import Conv5x5Config

__all__ = ["dsp_blocks", "memory", "terms"]


def terms(architecture: Architecture, family: str) -> Terms:
    """Elements, the tables of their sums' digits, and the vectors."""
    c: Conv5x5Config = architecture.engine_config
    columns = c.lanes * c.groups
    elements = columns * c.column_lanes
    digits = CodebookColumn.digits(c.column_lanes, c.activation_bits)
    each: dict[str, float] = {
        "elements": elements,
        "bits": elements * c.activation_bits,
        "digits": columns * digits,
        "columns": columns,
        "vector": c.groups * c.column_lanes * c.activation_bits,
    }
    return {"lut": each, "ff": each}


def dsp_blocks(config: Conv5x5Config) -> int:
    """None: 0."""
    return 0


def memory(config: Conv5x5Config) -> None:
    """None: the tables of products are look-up tables."""
