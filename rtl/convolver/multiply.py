"""Processing elements that multiply: the twin of :mod:`rtl.convolver.shift`, for comparison."""

import numpy as np
from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree
from rtl.columns import generic
from rtl.convolver.shift import PRIMITIVES, array_levels
from rtl.sharing import shared

__all__ = ["MultiplyArrays", "added"]


class MultiplyArrays(wiring.Component):
    """``sum = Σ_c Σ_t window[c][t] * weights[c][t]`` over ``size * size`` taps t.

    As :class:`~rtl.convolver.shift.ShiftArrays`, with weights in two's complement and a multiplier
    with a register behind it, which is one DSP block, in each processing element.

    Products are added as unsigned numbers, their sign inverted, which is ``2**(bits - 1)`` more for
    each; a constant takes it off the sum.

    Latency :attr:`latency`, throughput 1, no back-pressure. Cost: ``python -m benchmarks.svpe``.

    Parameters
    ----------
    channels, size : int
        Arrays, and rows of an array, which has as many columns.
    weight_bits, activation_bits : int
        Widths of a weight, signed, and of an activation, unsigned.
    family : str, optional
        Key of :data:`~rtl.convolver.shift.PRIMITIVES`.

    Members
    -------
    word : In(channels x taps x weight); load : In(1); loaded : Out(the same)
    switch : In(2)
        Only the first stage exists.
    window : In(channels x taps x activation_bits)
    sum : Out(signed(sum_bits))

    Source: PAPERS D, the array VPE.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        weight_bits: int,
        activation_bits: int,
        family: str | None = None,
    ) -> None:
        self.channels = channels
        self.size = size
        self.weight_bits = weight_bits
        self.activation_bits = activation_bits
        self.family = family
        codes = channels * size**2 * weight_bits
        taps = data.ArrayLayout(activation_bits, size**2)
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "switch": In(2),
                "window": In(data.ArrayLayout(taps, channels)),
                "sum": Out(signed(self.sum_bits(channels, size, weight_bits, activation_bits))),
            }
        )

    @staticmethod
    def sum_bits(channels: int, size: int, weight_bits: int, activation_bits: int) -> int:
        """Width of the signed sum."""
        lowest = channels * size**2 * ((1 << activation_bits) - 1) << weight_bits - 1
        return (lowest - 1).bit_length() + 1

    @staticmethod
    def arrays_latency(channels: int, size: int) -> int:
        """Cycles from a window to its sum."""
        return 1 + array_levels(channels, size)

    @property
    def latency(self) -> int:
        """Cycles from a window to its sum."""
        return self.arrays_latency(self.channels, self.size)

    @staticmethod
    def model(weights: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Exact sums of several output channels: int64 ``[..., windows, outputs]``.

        Parameters
        ----------
        weights : int [..., outputs, operands]
        windows : int [..., windows, operands]
            Unsigned activations.
        """
        # Exact in float64: sums stay below 2**53.
        product = windows.astype(np.float64) @ weights.swapaxes(-1, -2).astype(np.float64)
        return product.astype(np.int64)

    def elaborate(self, platform) -> Module | Instance:
        key = (
            MultiplyArrays,
            *(self.channels, self.size, self.weight_bits, self.activation_bits, self.family),
        )
        if instance := shared(self, platform, key):
            return instance
        m = Module()
        loading = Signal(self.word.shape(), reset_less=True)
        active = Signal(self.word.shape(), reset_less=True)
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        with m.If(self.switch[0]):
            m.d.sync += active.eq(loading)
        bits = self.weight_bits + self.activation_bits
        products = []
        for n in range(self.channels * self.size**2):
            weight = active.word_select(n, self.weight_bits).as_signed()
            operand = self.window[n // self.size**2][n % self.size**2]
            products.append(weight * operand)
        m.d.comb += self.sum.eq(added(m, products, bits, self.size, self.family))
        return m


def added(m: Module, products: list[Value], bits: int, size: int, family: str | None) -> Value:
    """The sum of signed products of ``bits`` bits, ``size * size`` of each channel.

    Each has a register in front of the adders of rows, columns and channels.
    """
    adder = PRIMITIVES.get(family or "", generic).adder
    addends = []
    for n, value in enumerate(products):
        product = Signal(signed(bits), name=f"product_{n}", reset_less=True)
        m.d.sync += product.eq(value)
        addends.append(Addend(Cat(product[:-1], ~product[-1]), (1 << bits) - 1))
    rows = [
        adder_tree(m, addends[n : n + size], f"row_{n // size}", adder)
        for n in range(0, len(addends), size)
    ]
    columns = [
        adder_tree(m, rows[n : n + size], f"column_{n // size}", adder)
        for n in range(0, len(rows), size)
    ]
    total = adder_tree(m, columns, "sum", adder)
    assert total.zeros == 0
    return total.bits - Const(len(products) << bits - 1)
