"""Weights as they were trained: 0 and signed powers of two, one term each."""

import numpy as np

from quant.errors import NoMulError
from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.schemes import Activations, Scheme

__all__ = ["OneTerm"]


class OneTerm(Scheme):
    """Takes over weights that are 0 or ±2**e, with the exponents of ``n`` bits in each channel.

    An ``n``-bit weight has ``2**(n - 1) - 1`` consecutive exponents (one with 1 bit, where all
    weights are ±1 times a power). Nothing is rounded: the codes of a channel are ``±1 .. ±2**m``,
    1 being its smallest weight.

    Attributes
    ----------
    exponents : int
        How many an output channel may use.
    """

    pattern = "nbq(?P<bits>[1-5])"
    usage = "nbq<n> (n = 1..5; weights trained by nomul train --method nbq)"

    def __init__(self, name: str, activations: Activations, bits: str) -> None:
        super().__init__(name, activations)
        self.exponents = max((1 << (int(bits) - 1)) - 1, 1)

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        """Codes and fractions whose values are the weights, bit by bit.

        Errors: :class:`NoMulError` for a weight that is no such power of two.
        """
        weight = conv.weight.reshape(len(conv.weight), -1).astype(np.float64)
        mantissa, exponent = np.frexp(weight)
        used = weight != 0
        if (np.abs(mantissa[used]) != 0.5).any():
            wrong = weight[used & (np.abs(mantissa) != 0.5)][0]
            raise NoMulError(
                f"{conv.name} has the weight {wrong:.6g}, which is no power of two; "
                f"train for {self.name} with: nomul train --method nbq"
            )
        low = np.where(used, exponent, np.iinfo(np.int32).max).min(axis=1)
        high = np.where(used, exponent, np.iinfo(np.int32).min).max(axis=1)
        spread = np.where(used.any(axis=1), high.astype(np.int64) - low + 1, 0)
        if (spread > self.exponents).any():
            raise NoMulError(
                f"{conv.name} has a channel with {spread.max()} exponents, {self.name} has "
                f"{self.exponents}; quantize to more bits, or train for {self.name}"
            )
        fraction = np.where(used.any(axis=1), 1 - low.astype(np.int64), 0)
        codes = np.ldexp(weight, fraction[:, None]).astype(np.int32)
        return codes.reshape(conv.weight.shape), fraction.astype(np.int32)
