"""A scheme whose output channels have widths of their own, and tensors too."""

from collections.abc import Mapping

import numpy as np

from quant.allocation.tables import sizes
from quant.errors import NoMulError
from quant.graph import Conv
from quant.layer_inputs import LayerInputs
from quant.schemes import Activations, Scheme
from quant.schemes.levels import nearest
from quant.schemes.rounding import Nearest, Rounding

__all__ = ["ROUNDINGS", "Mixed", "nearest_of", "round_mixed"]

ROUNDINGS = ("compensated", "nearest")


class Mixed(Scheme):
    """Weights of the width that each output channel was given.

    Parameters
    ----------
    name : str
    kind : str
        ``uniform`` or ``log`` (:func:`~quant.allocation.tables.sizes`).
    weights : mapping of int array (outputs,)
        Bits of each output channel, by the convolution's name.
    tensors : mapping of int, optional
        Bits of a tensor's activations where they are not 8, by its name.
    rounding : str
        ``compensated`` makes up for errors, ``nearest`` rounds each weight on its own.

    Errors: :class:`NoMulError` when a convolution comes that has no widths, or other channels.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        weights: Mapping[str, np.ndarray],
        tensors: Mapping[str, int] | None = None,
        rounding: str = "compensated",
    ) -> None:
        super().__init__(name, Activations())
        self.kind = kind
        self.weights = weights
        self.tensors = tensors or {}
        self.rounding = rounding

    def activations_of(self, tensor: str) -> Activations:
        return Activations(self.tensors.get(tensor, self.activations.bits))

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        bits = self.weights.get(conv.name)
        if bits is None or len(bits) != len(conv.weight):
            raise NoMulError(
                f"{conv.name} has {len(conv.weight)} output channels, the allocation has widths of "
                f"{0 if bits is None else len(bits)}; allocate for this network"
            )
        return round_mixed(Rounding(conv, inputs), self.kind, np.asarray(bits), self.rounding)


def round_mixed(
    rounding: Rounding, kind: str, bits: np.ndarray, how: str
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and fractions of weights whose output channels have these widths.

    Weights that keep to them already, as training leaves them, are taken over.
    """
    largest = np.array([sizes(kind, int(b))[-1] for b in bits])
    function = nearest_of(kind, bits.reshape(rounding.weight.shape[:2]))
    codes, fraction = rounding.plain(largest, function)
    values = np.ldexp(codes.astype(np.float64), -fraction[:, None, None, None])
    if how == "nearest" or np.array_equal(values.reshape(rounding.weight.shape), rounding.weight):
        return codes, fraction
    return rounding.compensated(largest, function)


def nearest_of(kind: str, bits: np.ndarray) -> Nearest:
    """Nearest codes where each channel has its width; ``bits`` leads the shape of what it takes."""
    masks = [(sizes(kind, int(b)), bits == b) for b in np.unique(bits)]

    def function(x: np.ndarray) -> np.ndarray:
        codes = np.empty(x.shape, np.int64)
        for table, mask in masks:
            codes[mask] = nearest(table, x[mask])
        return codes

    return function
