"""Arrays of multipliers behind line buffers."""

from compiler.model.logic import Terms
from compiler.model.logic.svpe import memory
from rtl.architecture import Architecture
from rtl.engines.vpe import VpeConfig

__all__ = ["dsp_blocks", "memory", "terms"]


def terms(architecture: Architecture, family: str) -> Terms:
    """Weights, products, which UltraScale+ keeps in fabric, and windows."""
    c: VpeConfig = architecture.engine_config
    elements = c.outputs * c.operands
    product = c.code_bits + c.activation_bits
    each: dict[str, float] = {
        f"weights.{family}": elements * c.code_bits,
        f"products.{family}": elements * product,
        "window": c.operands * c.activation_bits,
        "outputs": c.outputs * c.lanes,
    }
    return {"lut": each, "ff": each}


def dsp_blocks(config: VpeConfig) -> int:
    """A multiplier for every element."""
    return config.macs_per_cycle
