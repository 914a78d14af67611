"""Arrays of multipliers behind line buffers."""

from compiler.model.logic import MEASURED, Terms
from compiler.model.logic.svpe import memory
from rtl.architecture import Architecture
from rtl.engines.vpe import VpeConfig

__all__ = ["dsp_blocks", "memory", "terms"]


def terms(architecture: Architecture, family: str) -> Terms:
    """Weights twice, adders of products, and windows; UltraScale+ keeps operands and products in
    fabric, which Yosys leaves out of its DSP blocks there."""
    c: VpeConfig = architecture.engine_config
    elements = c.outputs * c.operands
    product = c.code_bits + c.activation_bits
    window = c.operands * c.activation_bits
    fabric = elements * (product + c.activation_bits) * (family == "xcup")
    return {
        "lut": {"products": elements * product, "window": window},
        "ff": {
            MEASURED: 2 * elements * c.code_bits + window,
            "elements": elements,
            "fabric": fabric,
        },
    }


def dsp_blocks(config: VpeConfig) -> int:
    """A multiplier for every element."""
    return config.macs_per_cycle
