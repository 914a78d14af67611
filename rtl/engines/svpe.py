"""Shift vector processing element arrays: a convolver whose elements shift."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth.hdl import Cat, Value

from rtl.columns.plan import LanePlan
from rtl.convolver.engine import Convolver, ConvolverConfig
from rtl.convolver.plan import SHIFT_PLANS
from rtl.convolver.shift import ShiftArrays

__all__ = ["ENGINE", "Svpe", "SvpeConfig"]

# Arrays of n = 1 exist, but cannot do without one of their weights, as those of a kernel smaller
# than the array and of channels that a layer has not must.
_PLANS = {plan.format.name: plan for bits, plan in SHIFT_PLANS.items() if bits > 1}


@dataclass(frozen=True)
class SvpeConfig(ConvolverConfig):
    """A convolver with weights ``0, ±1, ±2 .. ±2**(2**(n - 1) - 2)`` of n = 2 to 5 bits.

    ``weights`` is n2, n3, n4 or n5; see :class:`~rtl.convolver.engine.ConvolverConfig`.
    """

    FORMATS: ClassVar[tuple[str, ...]] = tuple(_PLANS)

    @property
    def plan(self) -> LanePlan:
        """How the elements make products."""
        return _PLANS[self.weights]

    @property
    def code_bits(self) -> int:
        return self.plan.format.bits

    @property
    def sum_bits(self) -> int:
        return 1 + ShiftArrays.sum_bits(self.lanes, self.kernel, self.plan, self.activation_bits)

    @property
    def arrays_latency(self) -> int:
        return ShiftArrays.arrays_latency(self.lanes, self.kernel, self.plan)

    def arrays(self, family: str | None) -> ShiftArrays:
        return ShiftArrays(self.lanes, self.kernel, self.plan, self.activation_bits, family)

    def array_code(self, code: Value) -> Value:
        magnitude, sign = code[:-1], code[-1]
        zeros = [n for n, size in enumerate(self.plan.format.magnitudes) if size == 0]
        joint = [Cat(code[bit] for bit in self.plan.joint).all()] if self.plan.joint else []
        # A zero loses its sign.
        return Cat(magnitude, sign & ~Cat(magnitude == zero for zero in zeros).any(), *joint)

    def encode(self, weights: np.ndarray) -> np.ndarray:
        return self.plan.format.encode(weights)

    def model(self, codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        return ShiftArrays.model(self.plan, self.activation_bits, codes, windows)

    def excess(self, weights: np.ndarray) -> np.ndarray:
        return self.plan.excess(weights, self.activation_bits)


class Svpe(Convolver):
    """See :class:`~rtl.convolver.engine.Convolver`; without a multiplier."""

    Config = SvpeConfig


ENGINE = Svpe
