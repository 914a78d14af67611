"""Sizes that a weight of each width can have."""

from functools import cache

import numpy as np

from quant.errors import NoMulError
from quant.weight_formats import FORMATS

__all__ = ["ACTIVATION_WIDTHS", "KINDS", "WIDTHS", "check_kind", "sizes"]

WIDTHS = tuple(range(2, 9))
"""Bits of a weight, its sign included."""

ACTIVATION_WIDTHS = tuple(range(4, 9))
"""Bits of an activation."""

KINDS = ("uniform", "log")


def check_kind(kind: str) -> None:
    """Errors: :class:`NoMulError` for an unknown kind."""
    if kind not in KINDS:
        raise NoMulError(f"no weights of kind {kind!r}; choose one of: {', '.join(KINDS)}")


@cache
def sizes(kind: str, bits: int) -> np.ndarray:
    """Sizes of a weight in units of its channel's step, ascending from 0: int64, read-only.

    ``uniform`` weights are all integers of the width but the lowest. ``log`` ones are 0 and powers
    of two up to 3 bits, with 1.5 times a power (the formats ``log4`` and ``log5``) at 4 and 5 bits;
    further bits divide each octave into 4, 8 and 16, as floating-point numbers with a denormal
    range, so that 127 sizes of 8 bits span 11 octaves.

    >>> sizes("uniform", 3).tolist(), sizes("log", 3).tolist(), sizes("log", 6)[[4, 8, 31]].tolist()
    ([0, 1, 2, 3], [0, 1, 2, 4], [4, 8, 448])
    """
    check_kind(kind)
    if bits not in WIDTHS:
        raise NoMulError(f"a weight has {WIDTHS[0]} to {WIDTHS[-1]} bits, not {bits}")
    count = 1 << bits - 1
    if kind == "uniform":
        table = np.arange(count)
    elif bits == 2:
        table = np.arange(2)
    elif bits <= 5:
        table = FORMATS[{3: "w3", 4: "log4", 5: "log5"}[bits]].levels
    else:
        part = 1 << bits - 4
        octave, place = np.divmod(np.arange(count - part), part)
        table = np.concatenate([np.arange(part), (part + place) << octave])
    table = table.astype(np.int64)
    table.flags.writeable = False
    return table
