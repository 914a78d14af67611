"""Arrays of shifting elements behind line buffers."""

from compiler.model.coefficients import lane_cost
from compiler.model.logic import Terms
from rtl.architecture import Architecture
from rtl.engines.svpe import SvpeConfig

__all__ = ["dsp_blocks", "memory", "terms"]

LANES = {"n2": "w3", "n3": "w3", "n4": "w4", "n5": "log5"}
"""The lanes that an element is alike."""


def terms(architecture: Architecture, family: str) -> Terms:
    """Elements as measured lanes, windows, and what a channel takes beside them."""
    c: SvpeConfig = architecture.engine_config
    version = "xc7" if family == "xc7" else "generic"
    elements = c.outputs * c.operands

    def each(resource: str) -> dict[str, float]:
        cost = lane_cost(LANES[c.weights], c.activation_bits, version, resource)
        return {
            "elements": elements * cost,
            "window": c.operands * c.activation_bits,
            "outputs": c.outputs * c.lanes,
        }

    return {"lut": each("lut"), "ff": each("ff")}


def dsp_blocks(config: SvpeConfig) -> int:
    """None: 0."""
    return 0


def memory(config: SvpeConfig) -> tuple[int, int]:
    """The rows of the line buffers side by side."""
    return (config.kernel - 1) * config.lanes * config.activation_bits, config.line_words
