"""The largest code of a window, lane by lane: the path of the words that take no weights."""

import numpy as np
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WindowMaximum"]


class WindowMaximum(wiring.Component):
    """``largest = max(code)`` over the words of a window so far, those outside the map left out.

    A window of one word passes it on. ``clear`` makes all lanes 0, which they stay until the next
    word. Where no word of a window has been inside yet, ``largest`` is not defined.

    Latency 1, throughput 1; fixed rate: neither provides nor respects back-pressure.

    Parameters
    ----------
    groups, lanes, bits : int
        Words taken at once, codes of a word, bits of a code.

    Members
    -------
    clear, valid : In(1)
    start : In(1)
        The word is the first of its window.
    signed : In(1)
        Codes are two's complement.
    codes : In(ArrayLayout(ArrayLayout(bits, lanes), groups))
    inside : In(ArrayLayout(1, groups))
    largest : Out(ArrayLayout(ArrayLayout(signed(bits + 1), lanes), groups))
    """

    latency = 1

    def __init__(self, groups: int, lanes: int, bits: int) -> None:
        self.groups = groups
        self.lanes = lanes
        self.bits = bits

        def words(shape) -> data.ArrayLayout:
            return data.ArrayLayout(data.ArrayLayout(shape, lanes), groups)

        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "start": In(1),
                "signed": In(1),
                "codes": In(words(bits)),
                "inside": In(data.ArrayLayout(1, groups)),
                "largest": Out(words(signed(bits + 1))),
            }
        )

    @staticmethod
    def model(codes: np.ndarray, inside: np.ndarray, window: int) -> np.ndarray:
        """Largest codes int64 ``[windows, ...]`` of ``[windows * window, ...]``, ``inside`` alike.

        Errors: ``ValueError`` for a window that is wholly outside.
        """
        lowest = np.iinfo(np.int64).min
        inside = np.broadcast_to(inside, codes.shape)
        largest = np.where(inside, codes, lowest).reshape(-1, window, *codes.shape[1:]).max(axis=1)
        if (largest == lowest).any():
            raise ValueError("a window is wholly outside the map")
        return largest

    def elaborate(self, platform) -> Module:
        m = Module()
        for group in range(self.groups):
            # Nothing of the window inside so far: any code is the largest.
            empty = Signal(name=f"empty_{group}")
            takes = self.valid & self.inside[group]
            with m.If(self.valid):
                m.d.sync += empty.eq((self.start | empty) & ~self.inside[group])
            for lane in range(self.lanes):
                code = self.codes[group][lane]
                largest = self.largest[group][lane]
                value = Signal(signed(self.bits + 1), name=f"value_{group}_{lane}")
                m.d.comb += value.eq(Cat(code, code[-1] & self.signed).as_signed())
                with m.If(takes & (self.start | empty | (value > largest))):
                    m.d.sync += largest.eq(value)
                with m.If(self.clear):
                    m.d.sync += largest.eq(0)
        return m
