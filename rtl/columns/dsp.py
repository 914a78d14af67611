"""Columns made of multipliers: two columns share the multipliers of a DSP48 for every lane.

One multiplication makes two products with the same activation: ``(w1 + (w2 << k)) * a`` is
``w1 * a + (w2 * a << k)``. A few lanes are added before the two fields are parted, as many as keep
the lower one exact; it begins at half its range, so that nothing is borrowed from the upper one.

The sums are the folded ones of the other columns (:mod:`rtl.columns.plan`), so the products, which
have their sign here, get what folding would have added. That depends on the weights only and is
made once for all columns from the weight words on their way in, by :class:`Folding`.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Array, Cat, Const, Instance, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree, tree_levels
from rtl.columns.column import Column, operand_layout
from rtl.columns.plan import LanePlan
from rtl.sharing import shared

__all__ = ["DspPair", "Folding", "Packing", "delayed"]

_WIDE, _NARROW = 25, 17
"""Bits of a DSP48E1's multiplicands: one signed, and one without its sign."""


@dataclass(frozen=True)
class Packing:
    """How two products share a multiplication.

    Parameters
    ----------
    lanes : int
        A multiple of 4.
    plan : LanePlan
    activation_bits : int

    Errors: ``ValueError`` where two products are too wide for a DSP48.
    """

    lanes: int
    plan: LanePlan
    activation_bits: int

    def __post_init__(self) -> None:
        if self.weight_bits(1) > _WIDE or self.activation_bits > _NARROW:
            raise ValueError(
                f"two products of {self.plan.format.name} weights and {self.activation_bits}-bit "
                f"activations do not fit a multiplier of {_WIDE} x {_NARROW + 1} bits"
            )

    def field(self, accumulations: int) -> int:
        """Width of a sum of so many signed products."""
        largest = accumulations * int(self.plan.format.levels[-1])
        return (largest * ((1 << self.activation_bits) - 1)).bit_length() + 1

    def weight_bits(self, accumulations: int) -> int:
        """Width of two weights in one word, signed."""
        return self.field(accumulations) + int(self.plan.format.levels[-1]).bit_length() + 1

    @property
    def accumulations(self) -> int:
        """Lanes that are added before the fields are parted."""
        return next(count for count in (4, 2, 1) if self.weight_bits(count) <= _WIDE)

    @property
    def chains(self) -> int:
        """Chains of so many lanes."""
        return self.lanes // self.accumulations

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sums: product, chain, tree, folding."""
        return 1 + self.accumulations + tree_levels(self.chains) + 1

    @property
    def folding_delay(self) -> int:
        """Cycles by which the folding of a weight word, and its use, follow the word and its."""
        return self.latency - 1

    @property
    def sum_bits(self) -> int:
        """Width of a folded sum."""
        return Column.sum_bits(self.lanes, self.plan, self.activation_bits)


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """A value so many cycles ago."""
    for cycle in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{cycle + 1}", reset_less=True)
        m.d.sync += later.eq(value)
        value = later
    return value


class Folding(wiring.Component):
    """What folding adds to the sum of a weight word's column, less the bias of the fields.

    ``folding = Σ_l excess(word[l]) - chains * 2**(field - 1)`` modulo ``2**sum_bits``. Latency
    ``packing.folding_delay``, throughput 1.

    Members
    -------
    word : In(lanes x lane code)
    folding : Out(sum_bits)
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        super().__init__(
            {
                "word": In(packing.lanes * packing.plan.lane_bits),
                "folding": Out(packing.sum_bits),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        p, plan = self.packing, self.packing.plan
        # A complement of 2**W - 1 makes two sums: of 2**W, in units of an activation, and of 1.
        sums = []
        for name, steps in (("whole", (1, 4)), ("ones", (1, 1))):
            table = [
                sum(steps[choice.multiple == 3] << choice.shift for _, choice in plan.selected(n))
                for n in range(len(plan.format.magnitudes))
            ]
            addends = []
            for lane in range(p.lanes):
                code = self.word[lane * plan.lane_bits :][: plan.format.bits]
                value = Signal(max(table).bit_length(), name=f"{name}_{lane}", reset_less=True)
                with m.Switch(code):
                    for n, size in enumerate(table):
                        with m.Case(n | 1 << plan.sign):
                            m.d.sync += value.eq(size)
                    with m.Default():
                        m.d.sync += value.eq(0)
                addends.append(Addend(value, max(table)))
            sums.append(adder_tree(m, addends, name).bits)
        whole, ones = sums
        bias = p.chains << p.field(p.accumulations) - 1
        folding = Signal(p.sum_bits, reset_less=True)
        m.d.sync += folding.eq((whole << p.activation_bits) - (ones + bias))
        done = 2 + tree_levels(p.lanes)
        m.d.comb += self.folding.eq(delayed(m, folding, p.folding_delay - done, "folding"))
        return m


class DspPair(wiring.Component):
    """Two columns of :class:`~rtl.columns.column.Column`, as ``lanes`` multipliers.

    Loading and switching are that class's, the word of the first column being loaded before that of
    the second; foldings come and switch ``packing.folding_delay`` cycles later. Latency
    ``packing.latency``.

    Members
    -------
    word : In(lanes x lane code); load : In(1); loaded : Out(lanes x lane code)
    folding : In(sum_bits); folding_load : In(1); folding_loaded : Out(sum_bits)
    switch : In(2); folding_switch : In(1)
    vector : In(lanes x operand_layout)
    sums : Out(2 x sum_bits)
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = p = packing
        codes = p.lanes * p.plan.lane_bits
        operands = operand_layout(p.plan, p.activation_bits)
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "folding": In(p.sum_bits),
                "folding_load": In(1),
                "folding_loaded": Out(p.sum_bits),
                "switch": In(2),
                "folding_switch": In(1),
                "vector": In(data.ArrayLayout(operands, p.lanes)),
                "sums": Out(2 * p.sum_bits),
            }
        )

    def elaborate(self, platform) -> Module | Instance:
        if instance := shared(self, platform, (DspPair, self.packing)):
            return instance
        m = Module()
        p = self.packing
        codes = chain(m, self.word, self.load, self.loaded, "loading")
        foldings = chain(m, self.folding, self.folding_load, self.folding_loaded, "folding")
        field = p.field(p.accumulations)
        low, high = [], []
        for first in range(0, p.lanes, p.accumulations):
            total = self.products(m, codes, first)
            largest = (1 << field) - 1
            low.append(Addend(total[:field], largest))
            high.append(Addend(total[field:], largest))
        for column, addends in enumerate((low, high)):
            total = adder_tree(m, addends, f"sum_{column}")
            active = Signal(p.sum_bits, name=f"active_folding_{column}", reset_less=True)
            with m.If(self.folding_switch):
                m.d.sync += active.eq(foldings[column])
            folded = Signal(p.sum_bits, name=f"folded_{column}", reset_less=True)
            m.d.sync += folded.eq(total.bits + active)
            m.d.comb += self.sums[column * p.sum_bits :][: p.sum_bits].eq(folded)
        return m

    def products(self, m: Module, codes: list[Signal], first: int) -> Signal:
        """Sum of a chain of lanes, both fields; each lane a cycle after the one before it."""
        p = self.packing
        field = p.field(p.accumulations)
        total: Value = Const((1 << field - 1) | 1 << 2 * field - 1, 2 * field)
        for place in range(p.accumulations):
            lane = first + place
            # The loading weights stay for one more cycle only; from there on they are piped along.
            pair = Signal(
                signed(p.weight_bits(p.accumulations)), name=f"pair_{lane}", reset_less=True
            )
            with m.If(self.switch[min(place, 1)]):
                m.d.sync += pair.eq(self.pair(codes, lane))
            weights = delayed(m, pair, place - 1, f"pair_{lane}")
            operand = delayed(m, self.vector[lane].x1, place, f"operand_{lane}")
            product = Signal(
                signed(len(weights) + p.activation_bits), name=f"product_{lane}", reset_less=True
            )
            m.d.sync += product.eq(weights * operand)
            summed = Signal(2 * field, name=f"chain_{lane}", reset_less=True)
            m.d.sync += summed.eq(total + product)
            total = summed
        return total

    def pair(self, codes: list[Signal], lane: int) -> Value:
        """``w1 + (w2 << field)``; without an adder, a negative w1 lowers w2."""
        p, fmt = self.packing, self.packing.plan.format
        first, second = (code[lane * p.plan.lane_bits :][: fmt.bits] for code in codes)
        weights = fmt.decode(np.arange(1 << fmt.bits)).tolist()
        shape = signed(p.weight_bits(p.accumulations) - p.field(p.accumulations))
        lower = Array(Const(weight, shape) for weight in weights)[first]
        negative = first[-1]
        lowered = [Const(weight - borrow, shape) for borrow in (0, 1) for weight in weights]
        upper = Array(lowered)[Cat(second, negative)]
        extension = negative.replicate(p.field(p.accumulations) - shape.width)
        return Cat(lower, extension, upper).as_signed()


def chain(m: Module, word: Value, load: Value, loaded: Value, name: str) -> list[Signal]:
    """Registers of the first and second column; words enter at the second."""
    registers = [Signal(word.shape(), name=f"{name}_{n}", reset_less=True) for n in range(2)]
    with m.If(load):
        m.d.sync += [registers[0].eq(registers[1]), registers[1].eq(word)]
    m.d.comb += loaded.eq(registers[0])
    return registers
