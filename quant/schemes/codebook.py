"""Weights of a codebook a layer: fitted to them, or taken over as they were trained."""

from functools import partial

import numpy as np

from quant.codebooks import INDEX_BITS, find_codebook
from quant.errors import NoMulError
from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.schemes import Activations, Scheme
from quant.schemes.lloyd import codebook, fit_values, nearest_code
from quant.schemes.rounding import Rounding

__all__ = ["Codebook", "FittedCodebook"]

ROUNDS = 4  # of codebook and fractions; later ones change next to nothing
SMALL = 2.0**-10
"""A channel is 0 whose weights are all below this share of the layer's largest. Kept, its fraction
would be so fine that its sums exceed theirs, and its codes would be made coarser: other values."""


class FittedCodebook(Scheme):
    """Rounds weights to 0 and at most ``2**n - 1`` values of 8 bits, which it finds for each layer.

    A layer's codebook is fitted to its weights in units of their channel's step, and the channels'
    fractions to the codebook, in turn. Then weights are rounded as
    :meth:`~quant.schemes.rounding.Rounding.compensated` does.

    Attributes
    ----------
    count : int
        Values beside 0.
    """

    pattern = f"codebook(?P<bits>[{INDEX_BITS[0]}-{INDEX_BITS[1]}])"
    usage = "codebook<n> (n = 1..5; 0 and 2**n - 1 values of 8 bits a layer, fitted to it)"

    def __init__(self, name: str, activations: Activations, bits: str) -> None:
        super().__init__(name, activations)
        self.count = (1 << int(bits)) - 1

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        if not conv.weight.any():
            return np.zeros(conv.weight.shape, np.int32), np.zeros(len(conv.weight), np.int32)
        rounding = Rounding(conv, inputs)
        weight = rounding.weight
        power = np.broadcast_to(rounding.power[:, None], weight.shape)
        # Until there is a codebook, channels are alike where their root mean squares are.
        square = (weight**2).mean(axis=2, keepdims=True)
        fraction = -np.rint(0.5 * np.log2(np.where(square > 0, square, 1.0))).astype(np.int64)
        for _ in range(ROUNDS):
            values = fit_values(np.ldexp(weight, fraction), power, self.count)
            book = codebook(values)
            nearest = partial(nearest_code, book)
            fraction = rounding.fractions(int(np.abs(book).max()), nearest)
        codes, found = rounding.compensated(int(np.abs(book).max()), nearest)
        peak = np.abs(conv.weight).reshape(len(codes), -1).max(axis=1)
        codes[peak < SMALL * peak.max()] = 0
        return codes, found


class Codebook(Scheme):
    """Takes over weights that are 0 and at most ``2**n - 1`` other values in a layer.

    Nothing is rounded: a layer's codes are the 8-bit values of its codebook, and each output
    channel has its power of two.

    Attributes
    ----------
    bits : int
        Of an index.
    """

    pattern = "clipq(?P<bits>[1-5])"
    usage = "clipq<n> (n = 1..5; weights trained by nomul train --method clipq)"

    def __init__(self, name: str, activations: Activations, bits: str) -> None:
        super().__init__(name, activations)
        self.bits = int(bits)

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        """Codes and fractions whose values are the weights, bit by bit.

        Errors: :class:`NoMulError` for weights of more values, or of more than 8 bits.
        """
        found = find_codebook(conv.weight, self.bits)
        if found is None:
            raise NoMulError(
                f"{conv.name} has weights of no codebook of {(1 << self.bits) - 1} values of 8 "
                f"bits; train for {self.name} with: nomul train --method clipq"
            )
        return found.codes, found.fraction
