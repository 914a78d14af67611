"""NoMul: a trained CNN as a multiplier-free accelerator, proven the same at every step.

>>> import nomul
>>> sorted(nomul.__all__)
['NoMulError', 'Program', 'Verification', 'compile', 'load', 'quantize']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nomul.program import Program, compile
    from nomul.verification import Verification
    from quant.errors import NoMulError
    from quant.importers import load
    from quant.quantize import quantize

__all__ = ["NoMulError", "Program", "Verification", "compile", "load", "quantize"]

__version__ = "0.1.0"

HOMES = {
    "NoMulError": "quant.errors",
    "Program": "nomul.program",
    "Verification": "nomul.verification",
    "compile": "nomul.program",
    "load": "quant.importers",
    "quantize": "quant.quantize",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, which `nomul --help` need not pay.
    if name not in HOMES:
        raise AttributeError(f"module 'nomul' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
