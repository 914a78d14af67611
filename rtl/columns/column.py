"""A column of the array: the dot product of a vector with weights that stay."""

from collections.abc import Callable

import numpy as np
from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree, tree_levels
from rtl.columns import generic
from rtl.columns.plan import LanePlan, Selector, multiple_bits

__all__ = ["Column", "operand_layout"]


def operand_layout(plan: LanePlan, activation_bits: int) -> data.StructLayout:
    """What a lane gets of an activation: its multiples, ``x1`` and where needed ``x3``."""
    return data.StructLayout(
        {f"x{multiple}": multiple_bits(multiple, activation_bits) for multiple in plan.multiples}
    )


class Column(wiring.Component):
    """``sum = Σ_l fold(vector[l], weights[l])``, weights being loaded beside the work.

    ``fold`` is the product less the sign, see :mod:`rtl.columns.plan`; the sum is unsigned.
    Columns of a group are chained: while ``load`` is high the loading weights become ``word`` and
    ``loaded`` shows those before. ``switch[k]`` lets stage ``k`` of the lanes use the loading
    weights from the next cycle on: ``switch[1]`` comes a cycle after ``switch[0]``, and the loading
    weights must not change between, so weights of a new tile meet the first vector of that tile in
    every stage and are not piped along with it.

    Latency :attr:`latency`, throughput 1, no back-pressure. Cost: ``python -m
    benchmarks.lane_costs`` prints it for every format.

    Parameters
    ----------
    lanes : int
    plan : LanePlan
    activation_bits : int
    family : str, optional
        "xc7": selectors in LUT6_2 and ternary adders on carry chains. Any other is generic
        arithmetic; both have the same registers.

    Members
    -------
    word : In(lanes x lane code); load : In(1); loaded : Out(lanes x lane code)
    switch : In(stages)
    vector : In(lanes x operand_layout)
    sum : Out(sum_bits)
    """

    def __init__(
        self, lanes: int, plan: LanePlan, activation_bits: int, family: str | None = None
    ) -> None:
        self.lanes = lanes
        self.plan = plan
        self.activation_bits = activation_bits
        self.family = family
        codes = data.ArrayLayout(plan.lane_bits, lanes)
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "switch": In(plan.stages),
                "vector": In(data.ArrayLayout(operand_layout(plan, activation_bits), lanes)),
                "sum": Out(self.sum_bits(lanes, plan, activation_bits)),
            }
        )

    @staticmethod
    def sum_bits(lanes: int, plan: LanePlan, activation_bits: int) -> int:
        """Width of the unsigned sum."""
        terms = range(len(plan.terms))
        product = sum(plan.term_largest(number, activation_bits) for number in terms)
        return (lanes * product).bit_length()

    @staticmethod
    def column_latency(lanes: int, plan: LanePlan) -> int:
        """Cycles from a vector to its sum."""
        return plan.stages + tree_levels(lanes * len(plan.terms))

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sum."""
        return self.column_latency(self.lanes, self.plan)

    @staticmethod
    def model(
        plan: LanePlan, activation_bits: int, codes: np.ndarray, vectors: np.ndarray
    ) -> np.ndarray:
        """Exact sums of several columns, int64 ``[..., vectors, columns]``.

        Parameters
        ----------
        plan : LanePlan
        activation_bits : int
        codes : int [..., columns, lanes]
            Codes of weights.
        vectors : int [..., vectors, lanes]
            Unsigned activations.
        """
        weights = plan.format.decode(codes)
        excess = plan.code_excess(codes, activation_bits).sum(axis=-1)
        # Exact in float64: sums stay far below 2**53.
        product = vectors.astype(np.float64) @ weights.swapaxes(-1, -2).astype(np.float64)
        return product.astype(np.int64) + excess[..., None, :]

    def elaborate(self, platform) -> Module:
        m = Module()
        plan = self.plan
        codes = data.ArrayLayout(plan.lane_bits, self.lanes)
        loading = Signal(codes, reset_less=True)
        active = [Signal(codes, name=f"active_{k}", reset_less=True) for k in range(plan.stages)]
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        for stage, weights in enumerate(active):
            with m.If(self.switch[stage]):
                m.d.sync += weights.eq(loading)

        cells = generic
        addends = [
            self.product(m, active, number, lane, cells.select)
            for number in range(len(plan.terms))
            for lane in range(self.lanes)
        ]
        total = adder_tree(m, addends, "sum", cells.adder)
        m.d.comb += self.sum.eq(total.bits << total.zeros)
        return m

    def product(
        self, m: Module, active: list[Signal], number: int, lane: int, select: Callable
    ) -> Addend:
        """The registers of a lane's stages for one term."""
        plan, bits = self.plan, self.activation_bits
        term = plan.terms[number]
        largest = plan.term_largest(number, bits)
        operands, code = self.vector[lane], active[0][lane]
        clear = active[-1][lane][plan.format.bits] if plan.clears else Const(0)
        # Zeros below every choice of a single stage are no registers.
        zeros = min(choice.shift for choice in term.first.choices if choice)
        if term.second is not None:
            zeros = 0
        # Stage 1: the selected multiple, or its complement where the weight is negative.
        sources = [
            None if choice is None else (operands[f"x{choice.multiple}"], choice.shift - zeros)
            for choice in term.first.choices
        ]
        name = f"chosen_{number}_{lane}"
        width = plan.first_bits(number, bits) - zeros
        chosen = Signal(width, name=name, reset_less=True)
        value = select(m, width, code_bits(code, term.first), sources, code[plan.sign], name)
        m.d.sync += chosen.eq(value)
        if term.second is None:
            return Addend(chosen, largest, zeros)
        # Stage 2: shifted further.
        sources = [
            None if shift is None else (chosen[:reach], shift)
            for shift, reach in zip(term.second.choices, plan.reach(number, bits), strict=True)
        ]
        name = f"product_{number}_{lane}"
        width = largest.bit_length()
        product = Signal(width, name=name, reset_less=True)
        value = select(m, width, code_bits(active[1][lane], term.second), sources, None, name)
        if plan.clears:
            with m.If(clear):
                m.d.sync += product.eq(0)
            with m.Else():
                m.d.sync += product.eq(value)
        else:
            m.d.sync += product.eq(value)
        return Addend(product, largest)


def code_bits(code: Value, selector: Selector) -> list[Value]:
    """The bits of a lane's code that a selector looks at."""
    return [code[bit] for bit in selector.bits]
