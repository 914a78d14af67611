"""The multipliers of one field of outputs, and their sum over all inputs."""

import numpy as np
from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.sharing import shared
from rtl.split.adder import split_sum
from rtl.split.multiply import LOW, OPERANDS, WEIGHTS, Multiplier
from rtl.split.parts import PARTS, Width, choose, codes_of, extended, sum_bits

__all__ = ["SplitColumn"]


class SplitColumn(wiring.Component):
    """``o[p] = Σ_l a[l] * w[l][p]`` for the parts p of a field of outputs.

    ``a`` are the activations whose operands come, one a lane, and ``w`` the fields of weights that
    were loaded; at 32 bits modulo ``2**64``. The loading weights are the column's link of a chain;
    ``switch`` makes them the working ones.

    Latency :attr:`latency`, throughput 1; fixed rate: neither provides nor respects back-pressure.

    Parameters
    ----------
    lanes : int
        Inputs, a power of two.
    place_bits : int
        Bits of a place of the sums, :attr:`least_place_bits` or more.

    Members
    -------
    width : In(2)
        Stable while vectors are under way.
    word : In(ArrayLayout(WEIGHTS, lanes)), load : In(1), loaded : Out, as ``word``
        ``loaded`` is the word that was loaded before.
    switch : In(1)
        In the cycle before the first operands of a tile.
    operands : In(ArrayLayout(OPERANDS, lanes))
    o : Out(PARTS * place_bits)
    """

    def __init__(self, lanes: int, place_bits: int) -> None:
        self.lanes = lanes
        self.place_bits = place_bits
        weights = data.ArrayLayout(WEIGHTS, lanes)
        super().__init__(
            {
                "width": In(2),
                "word": In(weights),
                "load": In(1),
                "loaded": Out(weights),
                "switch": In(1),
                "operands": In(data.ArrayLayout(OPERANDS, lanes)),
                "o": Out(PARTS * place_bits),
            }
        )

    @staticmethod
    def column_latency(lanes: int) -> int:
        """Cycles from operands to their sums: products, tree, two to combine them."""
        return Multiplier.latency + exact_log2(lanes) + 2

    @staticmethod
    def least_place_bits(lanes: int) -> int:
        """Bits that hold a sum of products of 8-bit codes; two such places hold one of 16 bits."""
        return LOW + max(exact_log2(lanes), 1)

    @property
    def latency(self) -> int:
        """Cycles from operands to their sums."""
        return self.column_latency(self.lanes)

    @staticmethod
    def model(width: int, weights: np.ndarray, activations: np.ndarray) -> np.ndarray:
        """Exact sums ``[..., parts]`` of signed activations ``[..., lanes]`` and unsigned fields
        of weights ``[lanes]``: int64."""
        parts = codes_of(np.asarray(weights)[:, None], width, True)
        return np.asarray(activations, np.int64) @ parts

    def elaborate(self, platform) -> Module:
        if instance := shared(self, platform, (SplitColumn, self.lanes, self.place_bits)):
            return instance
        m = Module()
        lanes, narrow = self.lanes, self.width == Width.W8.value
        place = self.least_place_bits(lanes)
        working = Signal(self.word.shape(), reset_less=True)
        with m.If(self.load):
            m.d.sync += self.loaded.eq(self.word)
        with m.If(self.switch):
            m.d.sync += working.eq(self.loaded)

        pairs: list[tuple[Value, Value]] = []
        thirds: list[Value] = []
        fourths: list[Value] = []
        for lane in range(lanes):
            m.submodules[f"multiplier_{lane}"] = multiplier = Multiplier(place)
            m.d.comb += [
                multiplier.width.eq(self.width),
                multiplier.weights.eq(working[lane]),
                multiplier.operands.eq(self.operands[lane]),
            ]
            pairs.append((multiplier.low, multiplier.high))
            thirds.append(multiplier.third)
            fourths.append(multiplier.fourth)

        # The tree over the lanes, a register behind each level.
        level = 0
        while len(pairs) > 1:
            level += 1
            pairs = self.added_pairs(m, pairs, ~narrow, f"pair_{level}")
            thirds = added(m, thirds, f"third_{level}")
            fourths = added(m, fourths, f"fourth_{level}")
        (low, high), third, fourth = pairs[0], thirds[0], fourths[0]

        # The terms of a product of 32 bits; the sums of narrower ones wait.
        first = Cat(low, high).as_signed()
        whole_bits = sum_bits(self.place_bits, Width.W32.value)
        middle = Signal(signed(len(fourth) + 2), reset_less=True)
        outer = Signal(whole_bits, reset_less=True)
        waiting = [
            Signal.like(value, name=f"waiting_{index}", reset_less=True)
            for index, value in enumerate((low, high, third, fourth))
        ]
        m.d.sync += [
            middle.eq(fourth - third - first),
            outer.eq((third << 32) + first),
            Cat(*waiting).eq(Cat(low, high, third, fourth)),
        ]
        # Combined, and as a field of the present width.
        total = Signal(whole_bits)
        low, high, third, fourth = waiting
        bits = self.place_bits
        narrow_field = Cat(extended(part, bits) for part in waiting)
        middle_field = Cat(extended(part, 2 * bits) for part in (Cat(low, high), third))
        m.d.comb += total.eq(outer + (middle << 16))
        m.d.sync += self.o.eq(choose(self.width, narrow_field, middle_field, total))
        return m

    def added_pairs(
        self, m: Module, pairs: list[tuple[Value, Value]], joined: Value, name: str
    ) -> list[tuple[Value, Value]]:
        """A level of the tree of the packed sums, whose two places join but at 8 bits."""
        result = []
        for index in range(0, len(pairs), 2):
            first, second = pairs[index : index + 2]
            total = split_sum(m, first, second, [joined], f"{name}_{index}_chain")
            low, high = (
                Signal(len(part), name=f"{name}_{index}_{which}", reset_less=True)
                for which, part in zip(("low", "high"), total)
            )
            m.d.sync += Cat(low, high).eq(Cat(*total))
            result.append((low, high))
        return result


def added(m: Module, values: list[Value], name: str) -> list[Value]:
    """A level of a tree: sums of two signed values, a bit wider."""
    result: list[Value] = []
    for index in range(0, len(values), 2):
        first, second = values[index : index + 2]
        total = Signal(signed(len(first) + 1), name=f"{name}_{index}", reset_less=True)
        m.d.sync += total.eq(first + second)
        result.append(total)
    return result
