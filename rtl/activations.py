"""Activation fetch: words of the feature memory in the order of a nest, padding put in."""

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import LAYOUTS, Opcode
from rtl.nest import nest_word
from rtl.store import Store

__all__ = ["ActivationFetch"]


class ActivationFetch(wiring.Component):
    """Reads the word at each step of a nest, or, outside the map, makes a word of ``fill`` codes.

    Latency 2 from a step to its word (one is the memory's), throughput 1, back-pressure yes.

    Parameters
    ----------
    lanes, bits : int
        Codes of a word, bits of a code.
    levels, address_bits : int
        Of the nest.

    Members
    -------
    bounds : In(Opcode.BOUNDS layout)
    i : In(stream of nest_word)
    address : Out(stream)
        To the memory.
    word : In(stream)
        From the memory, one for each address.
    o : Out(stream of ArrayLayout(bits, lanes))
    """

    latency = Store.latency + 1

    def __init__(self, lanes: int, bits: int, levels: int, address_bits: int) -> None:
        self.lanes = lanes
        self.bits = bits
        super().__init__(
            {
                "bounds": In(LAYOUTS[Opcode.BOUNDS]),
                "i": In(stream.Signature(nest_word(levels, address_bits, True))),
                "address": Out(stream.Signature(address_bits)),
                "word": In(stream.Signature(lanes * bits)),
                "o": Out(stream.Signature(data.ArrayLayout(bits, lanes))),
            }
        )

    @staticmethod
    def model(
        bits: int, bounds: dict, row: np.ndarray, column: np.ndarray, words: np.ndarray
    ) -> np.ndarray:
        """Unsigned codes ``[n, lanes]`` of ``n`` steps, given the words at their addresses."""
        inside = (row >= 0) & (row < bounds["rows"]) & (column >= 0) & (column < bounds["columns"])
        return np.where(inside[:, None], words, bounds["fill"] & (1 << bits) - 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        step = self.i.payload
        inside = Signal()
        m.d.comb += [
            inside.eq(
                (step.row >= 0)
                & (step.row < self.bounds.rows)
                & (step.column >= 0)
                & (step.column < self.bounds.columns)
            ),
            self.address.valid.eq(self.i.valid),
            self.address.payload.eq(step.address),
            self.i.ready.eq(self.address.ready),
        ]
        # Beside the memory: whether the word that it reads is to be used.
        use_word = Signal()
        with m.If(self.address.valid & self.address.ready):
            m.d.sync += use_word.eq(inside)
        # Output register, so that the choice is not in front of the engine's own logic.
        m.d.comb += self.word.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.word.ready):
            m.d.sync += self.o.valid.eq(self.word.valid)
            for lane in range(self.lanes):
                code = self.word.payload.word_select(lane, self.bits)
                m.d.sync += self.o.p[lane].eq(Mux(use_word, code, self.bounds.fill[: self.bits]))
        return m
