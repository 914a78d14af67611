import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sim.proof import holds


class Counter(wiring.Component):
    """Counts where ``enable`` is high and, as is assumed, not at ``stop``; never above ``most``."""

    enable: In(1)

    def __init__(self, stop, most):
        self.stop, self.most = stop, most
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(6)
        m.d.sync += count.eq(count + self.enable)
        m.d.comb += [
            Assume(~((count == self.stop) & self.enable)),
            Assert(count <= self.most),
        ]
        return m


def test_for_all_times():
    assert holds(Counter(stop=40, most=40))
    assert not holds(Counter(stop=40, most=39))


def test_bounded():
    """A violation in cycle 40 is not among the first 40."""
    assert holds(Counter(stop=50, most=39), depth=40)
    assert not holds(Counter(stop=50, most=39), depth=41)


def test_no_answer():
    with pytest.raises(TimeoutError, match="no proof in 1 seconds"):
        holds(Counter(stop=50, most=2**6), seconds=1)
