"""Weights of a codebook a layer, taken over as they were trained."""

import numpy as np

from quant.codebooks import find_codebook
from quant.errors import NoMulError
from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.schemes import Activations, Scheme

__all__ = ["Codebook"]


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
