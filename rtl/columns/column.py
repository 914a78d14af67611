"""A column of the array: the dot product of a vector with weights that stay."""

from collections.abc import Callable

import numpy as np
from amaranth.hdl import Cat, Instance, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree, tree_levels
from rtl.columns import generic, xc7
from rtl.columns.plan import LanePlan, Selector, multiple_bits
from rtl.columns.selection import Select, Source
from rtl.sharing import shared

__all__ = ["Column", "operand_layout"]


def operand_layout(plan: LanePlan, activation_bits: int) -> data.StructLayout:
    """What a lane gets of an activation a: ``x1 = a`` and where needed ``x3 = 3 * a >> 1``.

    The lowest bit of ``3 * a`` is that of a.
    """
    layout = {"x1": activation_bits}
    if 3 in plan.multiples:
        layout["x3"] = multiple_bits(3, activation_bits) - 1
    return data.StructLayout(layout)


def operand_places(multiple: int, activation_bits: int) -> tuple[int, ...]:
    """Where the bits of a multiple stand in :func:`operand_layout`."""
    bits = multiple_bits(multiple, activation_bits)
    if multiple == 1:
        return tuple(range(bits))
    return (0, *range(activation_bits, activation_bits + bits - 1))


class Column(wiring.Component):
    """``sum = Σ_l fold(vector[l], weights[l])``, weights being loaded beside the work.

    ``fold`` is the product, with complements for negative weights (:mod:`rtl.columns.plan`), so the
    sum is unsigned.
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
        super().__init__(
            {
                "word": In(lanes * plan.lane_bits),
                "load": In(1),
                "loaded": Out(lanes * plan.lane_bits),
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

    def elaborate(self, platform) -> Module | Instance:
        key = (Column, self.lanes, self.plan, self.activation_bits, self.family)
        if instance := shared(self, platform, key):
            return instance
        m = Module()
        plan = self.plan
        loading = Signal(self.word.shape(), reset_less=True)
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        # What each stage looks at, and nothing else.
        active = []
        for stage in range(plan.stages):
            bits = plan.stage_bits(stage)
            weights = Signal(self.lanes * len(bits), name=f"active_{stage}", reset_less=True)
            with m.If(self.switch[stage]):
                m.d.sync += weights.eq(
                    Cat(
                        loading[lane * plan.lane_bits + bit]
                        for lane in range(self.lanes)
                        for bit in bits
                    )
                )
            active.append(
                [
                    dict(zip(bits, weights[lane * len(bits) :][: len(bits)], strict=True))
                    for lane in range(self.lanes)
                ]
            )

        cells = xc7 if self.family == "xc7" else generic
        addends = [
            self.product(m, active, number, lane, cells.select)
            for number in range(len(plan.terms))
            for lane in range(self.lanes)
        ]
        total = adder_tree(m, addends, "sum", cells.adder)
        m.d.comb += self.sum.eq(total.bits << total.zeros)
        return m

    def product(
        self,
        m: Module,
        active: list[list[dict[int, Value]]],
        number: int,
        lane: int,
        select: Callable,
    ) -> Addend:
        """The registers of a lane's stages for one term.

        ``active`` has for each stage and lane the bits of the code, by their place in it.
        """
        plan, bits = self.plan, self.activation_bits
        term = plan.terms[number]
        largest = plan.term_largest(number, bits)
        code = active[0][lane]
        # A single stage has no registers for zeros below all its choices.
        shifts = [choice.shift for choice in term.first.choices if choice]
        zeros = min(shifts) if term.second is None else 0
        # Stage 1: the selected multiple, or its complement where the weight is negative.
        sources = [
            choice and Source(operand_places(choice.multiple, bits), choice.shift - zeros)
            for choice in term.first.choices
        ]
        name = f"chosen_{number}_{lane}"
        selector = Select(plan.first_bits(number, bits) - zeros, tuple(sources), folds=True)
        chosen = Signal(selector.width, name=name, reset_less=True)
        operand = Value.cast(self.vector[lane])
        value = select(m, name, selector, operand, code_bits(code, term.first), code[plan.sign])
        m.d.sync += chosen.eq(value)
        if term.second is None:
            return Addend(chosen, largest, zeros)
        # Stage 2: shifted further.
        code = active[1][lane]
        sources = [
            None if shift is None else Source(tuple(range(reach)), shift)
            for shift, reach in zip(term.second.choices, plan.reach(number, bits), strict=True)
        ]
        name = f"product_{number}_{lane}"
        selector = Select(largest.bit_length(), tuple(sources), folds=False)
        product = Signal(selector.width, name=name, reset_less=True)
        value = select(m, name, selector, chosen, code_bits(code, term.second))
        if plan.clears:
            with m.If(code[plan.format.bits]):
                m.d.sync += product.eq(0)
            with m.Else():
                m.d.sync += product.eq(value)
        else:
            m.d.sync += product.eq(value)
        return Addend(product, largest)


def code_bits(code: dict[int, Value], selector: Selector) -> list[Value]:
    """The bits of a lane's code that a selector looks at."""
    return [code[bit] for bit in selector.bits]
