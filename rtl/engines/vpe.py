"""Vector processing element arrays: the convolver with multipliers, for comparison with `svpe`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth.hdl import Value

from rtl.convolver.engine import Convolver, ConvolverConfig
from rtl.convolver.multiply import MultiplyArrays

__all__ = ["ENGINE", "Vpe", "VpeConfig"]

_BITS = {f"s{bits}": bits for bits in range(2, 17)}


@dataclass(frozen=True)
class VpeConfig(ConvolverConfig):
    """A convolver with weights in two's complement.

    ``weights`` is s2 to s16, s and their bits; see
    :class:`~rtl.convolver.engine.ConvolverConfig`.
    """

    FORMATS: ClassVar[tuple[str, ...]] = tuple(_BITS)

    @property
    def code_bits(self) -> int:
        return _BITS[self.weights]

    @property
    def sum_bits(self) -> int:
        bits = self.code_bits, self.activation_bits
        return MultiplyArrays.sum_bits(self.lanes, self.kernel, *bits)

    @property
    def arrays_latency(self) -> int:
        return MultiplyArrays.arrays_latency(self.lanes, self.kernel)

    def arrays(self, family: str | None) -> MultiplyArrays:
        bits = self.code_bits, self.activation_bits
        return MultiplyArrays(self.lanes, self.kernel, *bits, family)

    def array_code(self, code: Value) -> Value:
        return code

    def encode(self, weights: np.ndarray) -> np.ndarray:
        weights = np.asarray(weights, np.int64)
        half = 1 << self.code_bits - 1
        wrong = weights[(weights < -half) | (weights >= half)]
        if wrong.size:
            raise ValueError(f"{wrong.flat[0]} is no weight of {self.code_bits} bits")
        return weights & 2 * half - 1

    def model(self, codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        sign = codes >> self.code_bits - 1
        return MultiplyArrays.model(codes - (sign << self.code_bits), windows)

    def excess(self, weights: np.ndarray) -> np.ndarray:
        return np.zeros(weights.shape, np.int64)


class Vpe(Convolver):
    """See :class:`~rtl.convolver.engine.Convolver`; a multiplier for every element."""

    Config = VpeConfig


ENGINE = Vpe
