"""Counters of the words that a program moves."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.registers import Register

__all__ = ["COUNTED", "AccessCounters"]

COUNTED = (
    Register.FEATURES_READ,
    Register.WEIGHTS_READ,
    Register.SUMS_ADDED,
    Register.PARAMETERS_READ,
    Register.RESIDUALS_READ,
    Register.OUTPUTS_WRITTEN,
)
"""What is counted, in the order of the counters."""


class AccessCounters(wiring.Component):
    """``counts[i]`` is the number of cycles since ``clear`` in which ``events[i]`` was high.

    Latency 2, modulo ``2**32``.

    Members
    -------
    clear : In(1)
    events : In(len(COUNTED))
    counts : Out(ArrayLayout(32, len(COUNTED)))
    """

    latency = 2

    def __init__(self) -> None:
        super().__init__(
            {
                "clear": In(1),
                "events": In(len(COUNTED)),
                "counts": Out(data.ArrayLayout(32, len(COUNTED))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # Events come late in their cycle.
        seen = Signal(len(COUNTED))
        m.d.sync += seen.eq(self.events)
        for index in range(len(COUNTED)):
            m.d.sync += self.counts[index].eq(self.counts[index] + seen[index])
        with m.If(self.clear):
            m.d.sync += self.counts.eq(0)
        return m
