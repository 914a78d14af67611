"""Operations past the array: sum, difference, maximum or comparison of the words of a window."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import Operation
from rtl.split.adder import split_sum
from rtl.split.load import CODES
from rtl.split.parts import PARTS, choose, extended, joins

__all__ = ["WindowOperation"]


class WindowOperation(wiring.Component):
    """``result = operation(result, code)`` over the words of a window so far, part by part.

    * MAXIMUM: the larger.
    * ADD, SUBTRACT: sum or difference, modulo the width of a part's sum.
    * COMPARE: 1 where the result so far is larger, -1 where it is smaller, 0 where they are equal.

    The first word of a window is its first result; words outside the map are left out. ``clear``
    makes all fields 0, which they stay until the next word. Where no word of a window has been
    inside yet, ``result`` is not defined. One split adder a field does all operations.

    Latency 1, throughput 1; fixed rate: neither provides nor respects back-pressure.

    Parameters
    ----------
    lanes, place_bits : int
        Fields of a word, bits of a place of a field of sums.

    Members
    -------
    clear, valid : In(1)
    start : In(1)
        The word is the first of its window.
    width : In(2)
    operation : In(Operation)
    codes : In(ArrayLayout(CODES, lanes))
    inside : In(1)
    result : Out(ArrayLayout(signed(PARTS * place_bits), lanes))
    """

    latency = 1

    def __init__(self, lanes: int, place_bits: int) -> None:
        self.lanes = lanes
        self.place_bits = place_bits
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "start": In(1),
                "width": In(2),
                "operation": In(Operation),
                "codes": In(data.ArrayLayout(CODES, lanes)),
                "inside": In(1),
                "result": Out(data.ArrayLayout(signed(PARTS * place_bits), lanes)),
            }
        )

    @staticmethod
    def model(
        bits: int, operation: int, codes: np.ndarray, inside: np.ndarray, window: int
    ) -> np.ndarray:
        """Results int64 ``[windows, ...]`` of signed codes ``[windows * window, ...]``.

        ``bits`` is the width of a part's sum, ``inside`` broadcasts against ``codes``.
        Errors: ``ValueError`` for a window that is wholly outside.
        """
        shape = (-1, window, *codes.shape[1:])
        codes = np.asarray(codes, np.int64).reshape(shape)
        inside = np.broadcast_to(inside, (codes.shape[0] * window, *shape[2:])).reshape(shape)
        if not inside.any(axis=1).all():
            raise ValueError("a window is wholly outside the map")
        result = np.zeros_like(codes[:, 0])
        some = np.zeros(result.shape, bool)
        for word in range(window):
            code, takes = codes[:, word], inside[:, word]
            following = {
                Operation.MAXIMUM: lambda a, b: np.maximum(a, b),
                Operation.ADD: lambda a, b: wrapped(a + b, bits),
                Operation.SUBTRACT: lambda a, b: wrapped(a - b, bits),
                Operation.COMPARE: lambda a, b: np.sign(a - b),
            }[Operation(operation)](result, code)
            result = np.where(takes, np.where(some, following, code), result)
            some = some | takes
        return result

    def elaborate(self, platform) -> Module:
        m = Module()
        bits, joined = self.place_bits, joins(self.width)
        # Nothing of the window inside so far: any code is the first.
        empty = Signal()
        first = Signal()
        m.d.comb += first.eq(self.start | empty)
        with m.If(self.valid):
            m.d.sync += empty.eq(first & ~self.inside)
        subtract = Signal()
        m.d.comb += subtract.eq(self.operation != Operation.ADD)
        for lane in range(self.lanes):
            result, codes = self.result[lane], self.codes[lane]
            code = Signal(PARTS * bits, name=f"code_{lane}")
            places = [codes[f"place_{place}"] for place in range(PARTS)]
            m.d.comb += code.eq(
                choose(
                    self.width,
                    Cat(extended(place[:9], bits) for place in places),
                    Cat(extended(place[:17], 2 * bits) for place in places[::2]),
                    extended(places[0], PARTS * bits),
                )
            )
            before, after = (
                [field[at * bits :][:bits] for at in range(PARTS)] for field in (result, code)
            )
            total = split_sum(m, before, after, joined, f"chain_{lane}", subtract)
            # What a part is made of: its sign and whether it is 0, of its last place and of all.
            zeros = [~part.any() for part in total]
            negative, zero = spread(self.width, [part[-1] for part in total], zeros)
            following = Signal(PARTS * bits, name=f"following_{lane}")
            for place in range(PARTS):
                at = slice(place * bits, (place + 1) * bits)
                # The lowest place of a part has the comparison's 1.
                lowest = ~joined[place - 1] if place else Const(1, 1)
                compared = Cat(
                    (negative[place] | lowest) & ~zero[place], negative[place].replicate(bits - 1)
                )
                with m.Switch(self.operation):
                    with m.Case(Operation.MAXIMUM):
                        m.d.comb += following[at].eq(
                            Mux(negative[place], after[place], before[place])
                        )
                    with m.Case(Operation.COMPARE):
                        m.d.comb += following[at].eq(compared)
                    with m.Default():
                        m.d.comb += following[at].eq(total[place])
            with m.If(self.valid & self.inside):
                m.d.sync += result.eq(Mux(first, code, following))
            with m.If(self.clear):
                m.d.sync += result.eq(0)
        return m


def spread(width, negative: list, zero: list) -> tuple[list, list]:
    """Sign and whether it is 0 of the part that each place belongs to."""
    halves = [(zero[0] & zero[1], negative[1]), (zero[2] & zero[3], negative[3])]
    signs, empty = [], []
    for place in range(PARTS):
        half_zero, half_negative = halves[place // 2]
        signs.append(choose(width, negative[place], half_negative, negative[3]))
        empty.append(choose(width, zero[place], half_zero, halves[0][0] & halves[1][0]))
    return signs, empty


def wrapped(values: np.ndarray, bits: int) -> np.ndarray:
    """Values modulo ``2**bits``, signed; ``bits`` of 64 is numpy's own."""
    if bits == 64:
        return values
    half = 1 << bits - 1
    return (values + half & 2 * half - 1) - half
