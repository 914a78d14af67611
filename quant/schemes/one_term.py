"""Weights of one term, 0 and signed powers of two, of 1 to 5 bits: rounded, or as trained."""

import numpy as np

from quant.errors import NoMulError
from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.schemes import Activations, Scheme
from quant.schemes.levels import round_to_levels

__all__ = ["OneTerm", "Powers"]


def exponent_count(bits: int) -> int:
    """Consecutive exponents that an ``n``-bit weight may have, beside 0; 1 bit is a sign alone.

    >>> [exponent_count(bits) for bits in range(1, 6)]
    [1, 1, 3, 7, 15]
    """
    return max((1 << (bits - 1)) - 1, 1)


class Powers(Scheme):
    """The levels of the staircase without training: ``pow3`` is ``w3``, ``pow4`` is ``w4``.

    Attributes
    ----------
    levels : int64
        Sizes of a weight, ascending, from 0 but with 1 bit.
    """

    pattern = "pow(?P<bits>[1-5])"
    usage = "pow<n> (n = 1..5; signed powers of two)"

    def __init__(self, name: str, activations: Activations, bits: str) -> None:
        super().__init__(name, activations)
        powers = np.int64(1) << np.arange(exponent_count(int(bits)))
        self.levels = powers if bits == "1" else np.concatenate([[0], powers])

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        return round_to_levels(conv, inputs, self.levels)


class OneTerm(Scheme):
    """Takes over weights that are 0 or ±2**e, with the exponents of ``n`` bits in each channel.

    Nothing is rounded: the codes of a channel are ``±1 .. ±2**m``, 1 being its smallest weight.

    Attributes
    ----------
    exponents : int
        How many an output channel may use.
    """

    pattern = "nbq(?P<bits>[1-5])"
    usage = "nbq<n> (n = 1..5; weights trained by nomul train --method nbq)"

    def __init__(self, name: str, activations: Activations, bits: str) -> None:
        super().__init__(name, activations)
        self.exponents = exponent_count(int(bits))

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
