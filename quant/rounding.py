"""How the layers of a network round."""

from dataclasses import replace

import numpy as np

from quant.errors import NoMulError
from quant.quantized import ROUNDINGS, QLayer
from quant.stochastic import NOISE_BITS

__all__ = ["Rounding"]


class Rounding:
    """Gives layers their rounding, and where it is stochastic a seed each.

    Parameters
    ----------
    rounding : str
        One of :data:`quant.quantized.ROUNDINGS`.
    seed : int
        Of a generator that draws the layers' seeds, 0 or more.

    Errors: :class:`NoMulError` for another rounding or seed.
    """

    def __init__(self, rounding: str, seed: int) -> None:
        if rounding not in ROUNDINGS:
            raise NoMulError(f"no rounding {rounding!r}; choose one of {', '.join(ROUNDINGS)}")
        if seed < 0:
            raise NoMulError(f"the seed of the rounding is {seed}; give 0 or more")
        self.rounding = rounding
        self.generator = np.random.default_rng(seed)

    def apply(self, layer: QLayer) -> QLayer:
        """The layer, rounding so if it requantizes at all."""
        if self.rounding == "even" or not layer.rounds:
            return layer
        seed = int(self.generator.integers(1, 1 << NOISE_BITS))
        return replace(layer, rounding=self.rounding, seed=seed)
