"""Fixed-point weights of 16 and of 32 bits."""

import numpy as np

from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.schemes import Activations, Scheme

__all__ = ["Wide"]


class Wide(Scheme):
    """Symmetric codes of 16 or 32 bits, one power-of-two scale per output channel.

    A weight becomes the nearest code at the finest scale that saturates nothing. Rounding that
    compensates errors, as ``int8`` has, would gain nothing here: its moments, of float32 tensors,
    are known less exactly than these codes are.
    """

    pattern = "int(?P<width>16|32)"
    usage = "int16, int32"

    def __init__(self, name: str, activations: Activations, width: str) -> None:
        super().__init__(name, activations)
        self.width = int(width)

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        flat = conv.weight.reshape(len(conv.weight), -1).astype(np.float64)
        largest = (1 << (self.width - 1)) - 1
        peak = np.abs(flat).max(axis=1)
        # A peak is mantissa * 2**exponent with the mantissa from 0.5 to below 1, so it lies
        # between half of the codes and all of them, but for rounding up past the largest.
        fraction = np.where(peak > 0, self.width - 1 - np.frexp(peak)[1], 0)
        fraction -= np.rint(np.ldexp(peak, fraction)) > largest
        codes = np.rint(np.ldexp(flat, fraction[:, None])).astype(np.int32)
        return codes.reshape(conv.weight.shape), fraction.astype(np.int32)
