"""Arrays of shifting elements behind line buffers."""

from compiler.model.coefficients import lane_cost
from compiler.model.logic import MEASURED, Terms
from rtl.architecture import Architecture
from rtl.columns.plan import LanePlan
from rtl.engines.svpe import SvpeConfig

__all__ = ["dsp_blocks", "memory", "terms"]

LANES = {"n2": "w3", "n3": "w3", "n4": "w4", "n5": "log5"}
"""The lanes that an element is alike."""


def terms(architecture: Architecture, family: str) -> Terms:
    """Tables of elements as those of measured lanes, which all families make alike here, their
    registers, and windows."""
    c: SvpeConfig = architecture.engine_config
    elements = c.outputs * c.operands
    lane = lane_cost(LANES[c.weights], c.activation_bits, "xc7", "lut")
    window = c.operands * c.activation_bits
    each = registers(c.plan, c.activation_bits, c.kernel)
    return {
        "lut": {"elements": elements * lane, "window": window},
        # The window is registers itself.
        "ff": {"elements": elements * each, MEASURED: window},
    }


def registers(plan: LanePlan, activation_bits: int, kernel: int) -> float:
    """Of an element: its code while it loads, what of it each stage looks at, what stands between
    the stages, and its shares of the sums of its row and of its array."""
    bits = plan.lane_bits + sum(len(plan.stage_bits(stage)) for stage in range(plan.stages))
    if plan.stages > 1:
        bits += plan.first_bits(0, activation_bits)
    product = plan.term_largest(0, activation_bits).bit_length()
    grown = (kernel - 1).bit_length()
    return bits + (product + grown) / kernel + (product + 2 * grown) / kernel**2


def dsp_blocks(config: SvpeConfig) -> int:
    """None: 0."""
    return 0


def memory(config: SvpeConfig) -> tuple[int, int]:
    """The rows of the line buffers side by side."""
    return (config.kernel - 1) * config.lanes * config.activation_bits, config.line_words
