"""Budgets: ``3.0bits``, ``200kB``, ``40000cycles``."""

import re
from dataclasses import dataclass

from quant.errors import NoMulError

__all__ = ["Budget"]

UNITS = {"bits": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "KiB": 1024.0, "MiB": 2.0**20, "cycles": 1.0}
WRITTEN = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(UNITS)})")


@dataclass(frozen=True)
class Budget:
    """What an allocation may take.

    Parameters
    ----------
    unit : str
        ``bits``: of a weight, on average. ``bytes``: of all weights, with what says their widths.
        ``cycles``: of an image on a machine.
    most : float
    """

    unit: str
    most: float

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """A budget as a person writes it.

        Errors: :class:`NoMulError` for any other text, and for 0.

        >>> Budget.parse("3.0bits"), Budget.parse("1.5kB")
        (Budget(unit='bits', most=3.0), Budget(unit='bytes', most=1500.0))
        """
        match = WRITTEN.fullmatch(text.strip())
        if not match or not float(match[1]) > 0:
            raise NoMulError(
                f"{text!r} is no budget; write 3.0bits (a weight), 200kB (all weights; also B, MB, "
                "KiB, MiB) or 40000cycles"
            )
        unit = match[2] if match[2] in ("bits", "cycles") else "bytes"
        return cls(unit, float(match[1]) * UNITS[match[2]])
