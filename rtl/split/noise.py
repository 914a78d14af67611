"""Noise for stochastic rounding, the same for any machine: a register's state and channels' keys."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from quant.stochastic import CHANNEL_STEP, NOISE_BITS, lfsr_states
from rtl.split.parts import PARTS, choose, places

__all__ = ["Noise", "leap"]

_MASK = (1 << NOISE_BITS) - 1


def leap(m: Module, state: Value, name: str) -> Signal:
    """The state ``LEAP`` steps later: each bit is the parity of some, as steps are linear."""
    columns = [int(lfsr_states(1 << bit, 2)[1]) for bit in range(NOISE_BITS)]
    following = Signal(NOISE_BITS, name=name)
    for bit in range(NOISE_BITS):
        sources = [state[at] for at, column in enumerate(columns) if column >> bit & 1]
        m.d.comb += following[bit].eq(Cat(sources).xor())
    return following


class Noise(wiring.Component):
    """``L_p ^ K(c)`` of every channel of a word of outputs, see :mod:`quant.stochastic`.

    Words come block after block of output channels, the positions of a block in order. In the first
    word of a block the register begins again with ``seed``, and the channels are those of the next
    block; of the first block in that of a run.

    Latency 2 from ``take`` to ``o``, throughput 1. Cost: a register of 32 bits with three look-up
    tables a bit, and an adder a place.

    Parameters
    ----------
    lanes : int

    Members
    -------
    width : In(2), seed : In(32)
    take, block, run : In(1)
        A word; it is the first of its block; its block is the first of the run.
    o : Out(ArrayLayout(ArrayLayout(32, PARTS), lanes))
        Of the code at each place.
    """

    latency = 2

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "width": In(2),
                "seed": In(NOISE_BITS),
                "take": In(1),
                "block": In(1),
                "run": In(1),
                "o": Out(data.ArrayLayout(data.ArrayLayout(NOISE_BITS, PARTS), lanes)),
            }
        )

    @staticmethod
    def model(width: int, lanes: int, seed: int, blocks: int, positions: int) -> np.ndarray:
        """Noise int64 ``[blocks * positions, lanes * parts]``, part 0 of lane 0 first."""
        parts = len(places(width))
        part, lane = np.arange(parts), np.arange(lanes)[:, None]
        channel = (np.arange(blocks)[:, None, None] * parts + part) * lanes + lane
        keys = channel.reshape(blocks, 1, -1) * CHANNEL_STEP & _MASK
        return (lfsr_states(seed, positions)[:, None] ^ keys).reshape(blocks * positions, -1)

    def elaborate(self, platform) -> Module:
        m = Module()
        # 1: state and key of this word.
        following, next_key = Signal(NOISE_BITS), Signal(NOISE_BITS)
        state, key = Signal(NOISE_BITS), Signal(NOISE_BITS)
        step = choose(
            self.width,
            *(
                Const(self.lanes * len(places(width)) * CHANNEL_STEP & _MASK, NOISE_BITS)
                for width in range(3)
            ),
        )
        m.d.comb += [
            following.eq(Mux(self.block, self.seed, leap(m, state, "leapt"))),
            next_key.eq(Mux(self.block, Mux(self.run, 0, key + step), key)),
        ]
        with m.If(self.take):
            m.d.sync += [state.eq(following), key.eq(next_key)]
        # 2: of each channel.
        for lane in range(self.lanes):
            for place in range(PARTS):
                own = choose(
                    self.width,
                    *(
                        Const(((place >> width) * self.lanes + lane) * CHANNEL_STEP & _MASK, NOISE_BITS)
                        for width in range(3)
                    ),
                )
                channel = Signal(NOISE_BITS, name=f"key_{lane}_{place}")
                m.d.comb += channel.eq(key + own)
                m.d.sync += self.o[lane][place].eq(state ^ channel)
        return m
