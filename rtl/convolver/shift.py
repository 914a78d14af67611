"""Processing elements that shift: the k x k arrays of one output channel."""

import numpy as np
from amaranth.hdl import Cat, Instance, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree, tree_levels
from rtl.columns import generic, xc7
from rtl.columns.plan import LanePlan
from rtl.columns.selection import Select, Source
from rtl.sharing import shared

__all__ = ["PRIMITIVES", "ShiftArrays", "array_levels"]

PRIMITIVES = {"xc7": xc7, "xcup": xc7}
"""Families that have LUT6_2 and CARRY4; all others get plain arithmetic."""


def array_levels(channels: int, size: int) -> int:
    """Registers of the adders: of a row, of a column and between the arrays."""
    return 2 * tree_levels(size) + tree_levels(channels)


class ShiftArrays(wiring.Component):
    """``sum = Σ_c Σ_t fold(window[c][t], weights[c][t])`` over ``size * size`` taps t.

    The arrays of one output channel, one for each input channel c. A processing element has two
    weight registers, a shifter and its part of the adder of its row; the rows' sums are added down
    a column, and the arrays' sums by the interconnect adders. ``fold`` is the product, with
    complements for negative weights (:mod:`rtl.columns.plan`), so all sums are unsigned.

    Arrays of several output channels are chained: while ``load`` is high the loading weights become
    ``word`` and ``loaded`` shows those before. ``switch[k]`` lets stage k of the elements use the
    loading weights from the next cycle on, ``switch[1]`` a cycle after ``switch[0]``.

    Latency :attr:`latency`, throughput 1, no back-pressure. Cost: ``python -m benchmarks.svpe``.

    Parameters
    ----------
    channels, size : int
        Arrays, and rows of an array, which has as many columns.
    plan : LanePlan
        Of one term.
    activation_bits : int
    family : str, optional
        Key of :data:`PRIMITIVES`: shifters and adders of three values in the family's primitives.

    Members
    -------
    word : In(channels x taps x lane code); load : In(1); loaded : Out(the same)
    switch : In(2)
    window : In(channels x taps x activation_bits)
        Taps row by row.
    sum : Out(sum_bits)

    Source: PAPERS D, the array; no product has a register of its own, which is ours.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        plan: LanePlan,
        activation_bits: int,
        family: str | None = None,
    ) -> None:
        self.channels = channels
        self.size = size
        self.plan = plan
        self.activation_bits = activation_bits
        self.family = family
        codes = channels * size**2 * plan.lane_bits
        taps = data.ArrayLayout(activation_bits, size**2)
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "switch": In(2),
                "window": In(data.ArrayLayout(taps, channels)),
                "sum": Out(self.sum_bits(channels, size, plan, activation_bits)),
            }
        )

    @staticmethod
    def sum_bits(channels: int, size: int, plan: LanePlan, activation_bits: int) -> int:
        """Width of the unsigned sum."""
        return (channels * size**2 * plan.term_largest(0, activation_bits)).bit_length()

    @staticmethod
    def arrays_latency(channels: int, size: int, plan: LanePlan) -> int:
        """Cycles from a window to its sum."""
        return plan.stages - 1 + array_levels(channels, size)

    @property
    def latency(self) -> int:
        """Cycles from a window to its sum."""
        return self.arrays_latency(self.channels, self.size, self.plan)

    @staticmethod
    def model(
        plan: LanePlan, activation_bits: int, codes: np.ndarray, windows: np.ndarray
    ) -> np.ndarray:
        """Exact sums of several output channels: int64 ``[..., windows, outputs]``.

        Parameters
        ----------
        plan : LanePlan
        activation_bits : int
        codes : int [..., outputs, operands]
            Codes of weights.
        windows : int [..., windows, operands]
            Unsigned activations.
        """
        weights = plan.format.decode(codes)
        excess = plan.code_excess(codes, activation_bits).sum(axis=-1)
        # Exact in float64: sums stay far below 2**53.
        product = windows.astype(np.float64) @ weights.swapaxes(-1, -2).astype(np.float64)
        return product.astype(np.int64) + excess[..., None, :]

    def elaborate(self, platform) -> Module | Instance:
        key = (ShiftArrays, self.channels, self.size, self.plan, self.activation_bits, self.family)
        if instance := shared(self, platform, key):
            return instance
        m = Module()
        loading = Signal(self.word.shape(), reset_less=True)
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        cells = PRIMITIVES.get(self.family or "", generic)
        sums = []
        for c in range(self.channels):
            rows = []
            for i in range(self.size):
                products = [
                    self.product(m, loading, c, i * self.size + j, cells) for j in range(self.size)
                ]
                rows.append(adder_tree(m, products, f"row_{c}_{i}", cells.adder))
            sums.append(adder_tree(m, rows, f"column_{c}", cells.adder))
        total = adder_tree(m, sums, "sum", cells.adder)
        m.d.comb += self.sum.eq(total.bits << total.zeros)
        return m

    def product(self, m: Module, loading: Value, channel: int, tap: int, cells) -> Addend:
        """A processing element: its active weight, and the shifted operand without a register."""
        plan, bits = self.plan, self.activation_bits
        term, name = plan.terms[0], f"{channel}_{tap}"
        code = loading.word_select(channel * self.size**2 + tap, plan.lane_bits)
        largest = plan.term_largest(0, bits)

        # Stage 1: a small shift of the operand, complemented where the weight is negative.
        first = self.active(m, code, (*term.first.bits, plan.sign), 0, name)
        choices = term.first.choices
        sources = [choice and Source(tuple(range(bits)), choice.shift) for choice in choices]
        selector = Select(plan.first_bits(0, bits), tuple(sources), folds=True)
        operand = Value.cast(self.window[channel][tap])
        chosen = cells.select(m, f"chosen_{name}", selector, operand, first[:-1], first[-1])
        if term.second is None:
            return Addend(chosen, largest)

        # Stage 2: shifted further. A weight of zero clears the register between the two.
        between = Signal(selector.width, name=f"between_{name}", reset_less=True)
        m.d.sync += between.eq(chosen)
        with m.If(self.active(m, code, (plan.lane_bits - 1,), 0, f"{name}_zero")[0]):
            m.d.sync += between.eq(0)
        second = self.active(m, code, term.second.bits, 1, name)
        reach = plan.reach(0, bits)
        sources = [
            Source(tuple(range(width)), shift)
            for width, shift in zip(reach, term.second.choices, strict=True)
        ]
        selector = Select(largest.bit_length(), tuple(sources), folds=False)
        return Addend(cells.select(m, f"product_{name}", selector, between, second), largest)

    def active(
        self, m: Module, code: Value, places: tuple[int, ...], stage: int, name: str
    ) -> list[Value]:
        """The bits of the active weight that a stage looks at."""
        bits = Signal(len(places), name=f"active_{stage}_{name}", reset_less=True)
        with m.If(self.switch[stage]):
            m.d.sync += bits.eq(Cat(code[place] for place in places))
        return list(bits)
