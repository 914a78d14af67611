"""A column for logarithmic activations, to compare the product of two logarithms with a shift.

Where activations are 0, ``2**e`` or ``1.5 * 2**e`` as well as weights, a lane need not shift an
activation: it adds two exponents and places a short significand. Exponents of activations are found
once for all columns, by :func:`log_operand`. The sums are those of
:class:`~rtl.columns.column.Column` but for what folding adds. In look-up tables it is the dearer
one (``python -m benchmarks.lane_costs``), so engines are not made of it.

Source: PAPERS A (log-quantized weights and activations); the structure is ours.
"""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from quant.weight_formats import WeightFormat
from rtl.arithmetic import Addend, adder_tree, tree_levels

__all__ = ["LogColumn", "LogFormat", "log_operand", "log_values"]

_STAGES = 3
# Products of significands 1 and 1.5, in quarters, by the number of halves.
_SIGNIFICANDS = (4, 6, 9)


def log_values(activation_bits: int) -> np.ndarray:
    """The activations: 0, 1, and 2 and 3 times every power of two; int64, ascending.

    >>> log_values(4).tolist()
    [0, 1, 2, 3, 4, 6, 8, 12]
    """
    pairs = [size << k for k in range(activation_bits - 1) for size in (2, 3)]
    return np.array([0, 1, *pairs], np.int64)


def log_layout(activation_bits: int) -> data.StructLayout:
    """An activation: place of its leading one, the bit below that, and whether it is 0."""
    return data.StructLayout({"exponent": (activation_bits - 1).bit_length(), "half": 1, "zero": 1})


def log_operand(value: Value) -> Value:
    """Leading one and next bit of an activation, as :func:`log_layout`; combinational."""
    exponent, half = Const(0, (len(value) - 1).bit_length()), Const(0, 1)
    for place in range(1, len(value)):
        exponent = Mux(value[place], place, exponent)
        half = Mux(value[place], value[place - 1], half)
    return Cat(exponent[: (len(value) - 1).bit_length()], half, ~value.any())


@dataclass(frozen=True)
class LogFormat:
    """Codes of lanes for a format whose sizes are 0, ``2**e`` and ``1.5 * 2**e``.

    Parameters
    ----------
    format : WeightFormat

    Errors: ``ValueError`` for a format with another size.
    """

    format: WeightFormat

    def __post_init__(self) -> None:
        for size in self.format.magnitudes:
            if size and size not in (1 << leading(size), 3 << leading(size) >> 1):
                raise ValueError(f"{self.format.name}: {size} is neither 2**e nor 1.5 * 2**e")

    @property
    def layout(self) -> data.StructLayout:
        """Place of the leading one, the bit below it, whether it is 0, and the sign."""
        bits = leading(int(self.format.levels[-1])).bit_length()
        return data.StructLayout({"exponent": bits, "half": 1, "zero": 1, "negative": 1})

    def expand(self, codes: np.ndarray) -> np.ndarray:
        """Codes of lanes for codes of weights, as they are loaded; zero has no sign."""
        bits = self.layout["exponent"].width
        table = []
        for weight in self.format.decode(np.arange(1 << self.format.bits)).tolist():
            size = abs(weight)
            exponent = leading(size) if size else 0
            half = size != 1 << exponent and size > 0
            fields = (exponent, half << bits, (size == 0) << bits + 1, (weight < 0) << bits + 2)
            table.append(sum(fields))
        return np.array(table, np.int64)[codes]

    def product_bits(self, activation_bits: int) -> int:
        """Width of an unsigned product."""
        return (int(log_values(activation_bits)[-1]) * int(self.format.levels[-1])).bit_length()


def leading(size: int) -> int:
    return size.bit_length() - 1


class LogColumn(wiring.Component):
    """``sum = Σ_l (s_l ? 2**W - 1 - |w_l| * a_l : w_l * a_l)`` for logarithmic activations.

    W is the width of a product. Loading, switching and members as of
    :class:`~rtl.columns.column.Column`, with codes of :class:`LogFormat`; latency
    :attr:`latency`, throughput 1.

    Parameters
    ----------
    lanes : int
    format : LogFormat
    activation_bits : int

    Members
    -------
    word : In(lanes x lane code); load : In(1); loaded : Out(lanes x lane code)
    switch : In(2)
    vector : In(lanes x log_layout)
    sum : Out(sum_bits)
    """

    def __init__(self, lanes: int, format: LogFormat, activation_bits: int) -> None:
        self.lanes = lanes
        self.format = format
        self.activation_bits = activation_bits
        codes = lanes * format.layout.size
        largest = lanes * ((1 << format.product_bits(activation_bits)) - 1)
        super().__init__(
            {
                "word": In(codes),
                "load": In(1),
                "loaded": Out(codes),
                "switch": In(2),
                "vector": In(data.ArrayLayout(log_layout(activation_bits), lanes)),
                "sum": Out(largest.bit_length()),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sum."""
        return _STAGES + tree_levels(self.lanes)

    @staticmethod
    def model(
        format: LogFormat, activation_bits: int, codes: np.ndarray, vectors: np.ndarray
    ) -> np.ndarray:
        """Exact sums, int64 ``[vectors]``, of weights ``codes [lanes]``, ``vectors [..., lanes]``.

        Activations are among :func:`log_values`.
        """
        weights = format.format.decode(codes)
        fold = (1 << format.product_bits(activation_bits)) - 1
        return vectors @ weights + fold * np.count_nonzero(weights < 0)

    def elaborate(self, platform) -> Module:
        m = Module()
        layout = self.format.layout
        loading = Signal(len(self.word), reset_less=True)
        m.d.comb += self.loaded.eq(loading)
        with m.If(self.load):
            m.d.sync += loading.eq(self.word)
        addends = []
        for lane in range(self.lanes):
            code = layout(loading[lane * layout.size :][: layout.size])
            addends.append(self.product(m, code, lane))
        m.d.comb += self.sum.eq(adder_tree(m, addends, "sum").bits)
        return m

    def product(self, m: Module, code: data.View, lane: int) -> Addend:
        """The registers of a lane."""

        def register(shape, name: str) -> Signal:
            return Signal(shape, name=f"{name}_{lane}", reset_less=True)

        a, exponents = self.vector[lane], self.format.layout["exponent"].width
        exponent, half, zero = (
            register(shape, name)
            for shape, name in ((exponents, "exponent"), (1, "half"), (1, "zero"))
        )
        with m.If(self.switch[0]):
            m.d.sync += [exponent.eq(code.exponent), half.eq(code.half), zero.eq(code.zero)]
        negative = register(1, "negative")
        with m.If(self.switch[1]):
            m.d.sync += negative.eq(code.negative)
        # Stage 1: exponents are added, significands multiplied.
        place = register(max(exponents, len(a.exponent)) + 1, "place")
        halves, none = register(2, "halves"), register(1, "none")
        m.d.sync += [
            place.eq(exponent + a.exponent),
            halves.eq(half + a.half),
            none.eq(zero | a.zero),
        ]
        # Stage 2: the lower two bits of the exponent.
        significand = Array(_SIGNIFICANDS)[halves]
        near = register(7, "near")
        far, folds = register(len(place) - 2, "far"), register(1, "folds")
        m.d.sync += [
            near.eq(Mux(none, 0, significand << place[:2])),
            far.eq(place[2:]),
            folds.eq(negative),
        ]
        # Stage 3: the others, and the complement.
        bits = self.format.product_bits(self.activation_bits)
        product = register(bits, "product")
        placed = near << Cat(Const(0, 2), far)
        m.d.sync += product.eq(placed[2:] ^ folds.replicate(bits))
        return Addend(product, (1 << bits) - 1)
