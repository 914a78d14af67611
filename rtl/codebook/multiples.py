"""Multiples of a codebook's values: what tables of products are filled with."""

import numpy as np
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "CODE_BITS",
    "DIGIT_BITS",
    "ENTRIES",
    "ENTRY_BITS",
    "MULTIPLES",
    "VALUES",
    "VALUE_BITS",
    "Multiples",
    "signed_values",
]

VALUES = 3
"""Nonzero values of a codebook."""
CODE_BITS = 2
"""Width of an index: 0 is the weight zero, v + 1 is value v."""
VALUE_BITS = 9
"""Width of a value, two's complement: weights of 8 bits, and average pooling's up to 255."""
DIGIT_BITS = 5
"""Bits of a sum that address a table: as many as a look-up table has as memory."""
ENTRIES = 1 << DIGIT_BITS
ENTRY_BITS = VALUE_BITS + DIGIT_BITS
"""Width of a product of a value and a digit."""

MULTIPLES = data.StructLayout(
    {
        "write": 1,
        "digit": DIGIT_BITS,
        "entries": data.ArrayLayout(ENTRY_BITS, VALUES),
    }
)
"""Entry ``digit`` of the tables of all values. An entry is the product with its sign bit inverted,
which is ``2**(ENTRY_BITS - 1)`` more, so that it is unsigned."""


def signed_values(patterns: np.ndarray) -> np.ndarray:
    """Values of their two's complement patterns: int64.

    >>> signed_values(np.array([1, 511])).tolist()
    [1, -1]
    """
    patterns = np.asarray(patterns, np.int64)
    return patterns - (patterns >> VALUE_BITS - 1 << VALUE_BITS)


class Multiples(wiring.Component):
    """Writes ``digit * values[v]`` for all digits and values, one digit a cycle.

    ``ready`` is high from ``ENTRIES`` cycles after the first cycle with ``go`` on, until ``start``.
    Entries are at ``o`` a cycle after they are formed. Cost: an adder a value.

    Members
    -------
    values : In(VALUES x VALUE_BITS)
        Two's complement, stable from ``start`` on.
    start : In(1)
    go : In(1)
        What happens before is without effect.
    ready : Out(1)
    o : Out(MULTIPLES)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "values": In(data.ArrayLayout(VALUE_BITS, VALUES)),
                "start": In(1),
                "go": In(1),
                "ready": Out(1),
                "o": Out(MULTIPLES),
            }
        )

    @staticmethod
    def model(values: np.ndarray) -> np.ndarray:
        """Entries of all tables: int64 ``[VALUES, ENTRIES]``."""
        products = np.asarray(values, np.int64)[:, None] * np.arange(ENTRIES)
        return products + (1 << ENTRY_BITS - 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        going = Signal()
        # The highest bit: all digits are written.
        count = Signal(DIGIT_BITS + 1, init=ENTRIES, reset_less=True)
        write = Signal()
        m.d.comb += [self.ready.eq(count[-1]), write.eq((self.go | going) & ~self.ready)]
        with m.If(self.go):
            m.d.sync += going.eq(1)
        m.d.sync += [
            self.o.write.eq(write),
            self.o.digit.eq(count[:DIGIT_BITS]),
        ]
        with m.If(write):
            m.d.sync += count.eq(count + 1)
        for v in range(VALUES):
            product = Signal(signed(ENTRY_BITS), name=f"product_{v}", reset_less=True)
            value = self.values[v].as_signed()
            with m.If(write):
                m.d.sync += product.eq(product + value)
            with m.If(self.start):
                m.d.sync += product.eq(0)
            m.d.sync += self.o.entries[v].eq(Cat(product[:-1], ~product[-1]))
        with m.If(self.start):
            m.d.sync += [count.eq(0), going.eq(0)]
        return m
