"""The other processing element for a codebook: it selects one of shared products and adds.

The products of every activation with the three values are formed once for all output channels, and
an element chooses one of them by its index. Measured to be compared with the elements that
:mod:`rtl.codebook.column` has; ``python -m benchmarks.conv5x5`` prints both.
"""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arithmetic import Addend, adder_tree
from rtl.codebook.multiples import CODE_BITS, VALUE_BITS, VALUES
from rtl.columns import generic
from rtl.convolver.shift import PRIMITIVES

__all__ = ["Product", "SelectColumn"]


class SelectColumn(wiring.Component):
    """``sum = Σ_l products[l][codes[l] - 1]``, nothing where the index is 0.

    Two elements share a carry chain, whose look-up tables hold the selection of one of them; their
    sums are added three at a time in primitives. Products are unsigned, as if each had its sign bit
    inverted; an index of 0 then stands for the largest product's half, which the compiler knows.

    Parameters
    ----------
    operands : int
        Even.
    activation_bits : int
    family : str, optional
        Key of :data:`~rtl.convolver.shift.PRIMITIVES`.

    Members
    -------
    word : In(operands x index); load : In(1); loaded : Out(the same); switch : In(1)
    products : In(operands x VALUES x bits of a product)
    sum : Out
    """

    def __init__(self, operands: int, activation_bits: int, family: str | None = None) -> None:
        self.operands = operands
        self.bits = activation_bits + VALUE_BITS
        self.family = family
        codes = operands * CODE_BITS
        products = data.ArrayLayout(data.ArrayLayout(self.bits, VALUES), operands)
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "switch": In(1),
                "products": In(products),
                "sum": Out((operands * ((1 << self.bits) - 1)).bit_length()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        loading = Signal(self.word.shape(), reset_less=True)
        active = Signal(self.word.shape(), reset_less=True)
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        with m.If(self.switch):
            m.d.sync += active.eq(loading)
        zero = Const(1 << self.bits - 1, self.bits)
        chosen = [
            Array([zero, *(self.products[n][v] for v in range(VALUES))])[
                Cat(active.word_select(n, CODE_BITS))
            ]
            for n in range(self.operands)
        ]
        pairs = []
        for n in range(0, self.operands, 2):
            pair = Signal(self.bits + 1, name=f"pair_{n}", reset_less=True)
            m.d.sync += pair.eq(chosen[n] + chosen[n + 1])
            pairs.append(Addend(pair, 2 * ((1 << self.bits) - 1)))
        total = adder_tree(m, pairs, "sum", PRIMITIVES.get(self.family or "", generic).adder)
        m.d.comb += self.sum.eq(total.bits)
        return m


class Product(wiring.Component):
    """One product of an activation and a value, in look-up tables, with a register.

    Parameters
    ----------
    activation_bits : int

    Members
    -------
    activation : In(activation_bits); value : In(VALUE_BITS); o : Out(their product)
    """

    def __init__(self, activation_bits: int) -> None:
        super().__init__(
            {
                "activation": In(activation_bits),
                "value": In(VALUE_BITS),
                "o": Out(activation_bits + VALUE_BITS),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # Rows of the schoolbook product, so that no multiplier is inferred.
        rows = [
            Addend(
                self.value & self.activation[bit].replicate(VALUE_BITS),
                (1 << VALUE_BITS) - 1 << bit,
                bit,
            )
            for bit in range(len(self.activation))
        ]
        total = adder_tree(m, rows, "row")
        m.d.comb += self.o.eq(total.bits)
        return m
