"""Columns of lanes, of look-up tables or of DSP blocks."""

from compiler.model.coefficients import lane_cost
from compiler.model.logic import MEASURED, Terms
from rtl.architecture import Architecture
from rtl.engines.shift_gemm import ShiftGemmConfig

__all__ = ["dsp_blocks", "memory", "terms"]


def terms(architecture: Architecture, family: str) -> Terms:
    """Lanes as measured in a column of 48, and what vectors and sums take beside them."""
    c: ShiftGemmConfig = architecture.engine_config
    version = "xc7" if family == "xc7" else "generic"
    made = c.groups * c.dsp_columns
    columns = c.groups * c.lanes - made

    def lanes(resource: str) -> dict[str, float]:
        def cost(kind: str) -> float:
            return lane_cost(c.weights, c.activation_bits, kind, resource)

        return {
            MEASURED: c.column_lanes * (columns * cost(version) + made * cost("dsp")),
            "columns": columns + made,
            "vector": c.groups * c.column_lanes * c.activation_bits,
            "folding": c.groups * c.column_lanes * (c.dsp_columns > 0),
            f"multipliers.{family}": made * c.column_lanes,
        }

    return {"lut": lanes("lut"), "ff": lanes("ff")}


def dsp_blocks(config: ShiftGemmConfig) -> int:
    """One for a lane of two columns."""
    return config.column_lanes * config.groups * config.dsp_columns // 2


def memory(config: ShiftGemmConfig) -> None:
    """None."""
