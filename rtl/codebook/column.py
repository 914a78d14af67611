"""An output channel's processing elements: sums of activations by value, and their products."""

import numpy as np
from amaranth.hdl import Const, Instance, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree, tree_levels
from rtl.codebook.multiples import (
    CODE_BITS,
    DIGIT_BITS,
    ENTRIES,
    ENTRY_BITS,
    MULTIPLES,
    VALUE_BITS,
    VALUES,
)
from rtl.columns import generic
from rtl.convolver.shift import PRIMITIVES
from rtl.sharing import shared

__all__ = ["CodebookColumn"]


def class_bits(operands: int, activation_bits: int) -> int:
    """Width of the sum of the activations of one value."""
    return (operands * ((1 << activation_bits) - 1)).bit_length()


class CodebookColumn(wiring.Component):
    """``sum = Σ_l values[codes[l]] * vector[l]`` over ``operands`` processing elements.

    An element is three gates: its activation enters the sum of its weight's value. The three sums
    are cut in digits of :data:`~rtl.codebook.multiples.DIGIT_BITS` bits, a table gives the product
    of each digit, and the products are added. All is exact.

    Columns are chained: while ``load`` is high the loading codes become ``word`` and ``loaded``
    shows those before. From the cycle after ``switch`` on the loading codes are in use.

    Latency :attr:`latency`, throughput 1, no back-pressure. Cost: ``python -m benchmarks.conv5x5``;
    a gate is the synchronous reset of a register and takes no look-up table.

    Parameters
    ----------
    operands : int
    activation_bits : int
    family : str, optional
        Key of :data:`~rtl.convolver.shift.PRIMITIVES`: adders of three values in primitives.

    Members
    -------
    word : In(operands x code); load : In(1); loaded : Out(the same)
    switch : In(1)
    vector : In(operands x activation_bits)
        Unsigned.
    multiples : In(MULTIPLES)
        Fills the tables, before the sums of the first vector need them.
    sum : Out(signed(sum_bits))

    Source: PAPERS E, weight decoder and adder tree; adding before multiplying is ours.
    """

    def __init__(self, operands: int, activation_bits: int, family: str | None = None) -> None:
        self.operands = operands
        self.activation_bits = activation_bits
        self.family = family
        codes = operands * CODE_BITS
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "switch": In(1),
                "vector": In(data.ArrayLayout(activation_bits, operands)),
                "multiples": In(MULTIPLES),
                "sum": Out(signed(self.sum_bits(operands, activation_bits))),
            }
        )

    @staticmethod
    def sum_bits(operands: int, activation_bits: int) -> int:
        """Width of the signed sum: all weights ``-2**(VALUE_BITS - 1)`` are its lowest."""
        lowest = operands * ((1 << activation_bits) - 1) << VALUE_BITS - 1
        return (lowest - 1).bit_length() + 1

    @staticmethod
    def digits(operands: int, activation_bits: int) -> int:
        """Digits of the sum of a value's activations."""
        return -(-class_bits(operands, activation_bits) // DIGIT_BITS)

    @classmethod
    def column_latency(cls, operands: int, activation_bits: int) -> int:
        """Cycles from a vector to its sum: gates, sums, tables, products' sum, offset."""
        products = VALUES * cls.digits(operands, activation_bits)
        return 1 + tree_levels(operands) + 1 + tree_levels(products) + 1

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sum."""
        return self.column_latency(self.operands, self.activation_bits)

    @staticmethod
    def model(values: np.ndarray, codes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Exact sums of several columns: int64 ``[..., vectors, columns]``.

        Parameters
        ----------
        values : int [VALUES]
        codes : int [..., columns, operands]
        vectors : int [..., vectors, operands]
        """
        weights = np.concatenate([[0], values])[codes]
        # Exact in float64: sums stay far below 2**53.
        product = vectors.astype(np.float64) @ weights.swapaxes(-1, -2).astype(np.float64)
        return product.astype(np.int64)

    def elaborate(self, platform) -> Module | Instance:
        key = (CodebookColumn, self.operands, self.activation_bits, self.family)
        if instance := shared(self, platform, key):
            return instance
        m = Module()
        adder = PRIMITIVES.get(self.family or "", generic).adder
        loading = Signal(self.word.shape(), reset_less=True)
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        sums = [
            adder_tree(m, self.gated(m, loading, v), f"class_{v}", adder) for v in range(VALUES)
        ]
        products, offset = self.products(m, sums)
        total = adder_tree(m, products, "product", adder)
        result = Signal(self.sum.shape(), reset_less=True)
        m.d.sync += result.eq((total.bits << total.zeros) - Const(offset))
        m.d.comb += self.sum.eq(result)
        return m

    def gated(self, m: Module, loading: Value, v: int) -> list[Addend]:
        """Activations whose weight is value v, 0 in the place of all others."""
        largest = (1 << self.activation_bits) - 1
        addends = []
        for n in range(self.operands):
            other = Signal(name=f"other_{v}_{n}", reset_less=True)
            with m.If(self.switch):
                m.d.sync += other.eq(loading.word_select(n, CODE_BITS) != v + 1)
            gated = Signal(self.activation_bits, name=f"gated_{v}_{n}", reset_less=True)
            m.d.sync += gated.eq(self.vector[n])
            # In this order it is the registers' synchronous reset, which costs nothing.
            with m.If(other):
                m.d.sync += gated.eq(0)
            addends.append(Addend(gated, largest))
        return addends

    def products(self, m: Module, sums: list[Addend]) -> tuple[list[Addend], int]:
        """Products of all digits of the values' sums, and what they have too much in all."""
        tables = []
        for v in range(VALUES):
            table = memory.Memory(shape=unsigned(ENTRY_BITS), depth=ENTRIES, init=[])
            m.submodules[f"table_{v}"] = table
            port = table.write_port()
            m.d.comb += [
                port.en.eq(self.multiples.write),
                port.addr.eq(self.multiples.digit),
                port.data.eq(self.multiples.entries[v]),
            ]
            tables.append(table)
        products, offset = [], 0
        for d in range(self.digits(self.operands, self.activation_bits)):
            zeros = d * DIGIT_BITS
            for v, table in enumerate(tables):
                read = table.read_port(domain="comb")
                m.d.comb += read.addr.eq(sums[v].bits[zeros : zeros + DIGIT_BITS])
                product = Signal(ENTRY_BITS, name=f"product_{d}_{v}", reset_less=True)
                m.d.sync += product.eq(read.data)
                products.append(Addend(product, (1 << ENTRY_BITS) - 1 << zeros, zeros))
                offset += 1 << ENTRY_BITS - 1 + zeros
        return products, offset
