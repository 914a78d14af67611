"""Symmetric 8-bit fixed-point weights."""

import numpy as np

from quant.graph import Conv
from quant.schemes import LayerInputs, Scheme
from quant.schemes.scales import search_fractions

__all__ = ["Int8"]

LARGEST = 127


class Int8(Scheme):
    """Codes -127 .. 127, one power-of-two scale per output channel.

    A code has at most four terms in canonical signed digits.
    """

    pattern = "int8"
    usage = "int8"

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        return search_fractions(conv, inputs, LARGEST, nearest)


def nearest(x: np.ndarray) -> np.ndarray:
    """Nearest code, ties to even.

    >>> nearest(np.array([0.5, -1.6, 300.0])).tolist()
    [0, -2, 127]
    """
    return np.clip(np.rint(x), -LARGEST, LARGEST).astype(np.int64)
