"""Noise for stochastic rounding, alike on any machine: a register's state, channels' keys."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from quant.stochastic import CHANNEL_STEP, NOISE_BITS, lfsr_states
from rtl.split.parts import PARTS, choose, part_count

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
    word of a block the register begins again with ``seed``. ``key`` is that of the block's first
    channel; the others follow in order.

    Latency 2 from ``take`` to ``o``, throughput 1. Cost: a register of 32 bits with three look-up
    tables a bit, and an adder a place.

    Parameters
    ----------
    lanes : int

    Members
    -------
    width : In(2), seed, key : In(32)
    take, block : In(1)
        A word; it is the first of its block.
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
                "key": In(NOISE_BITS),
                "take": In(1),
                "block": In(1),
                "o": Out(data.ArrayLayout(data.ArrayLayout(NOISE_BITS, PARTS), lanes)),
            }
        )

    @staticmethod
    def model(width: int, lanes: int, seed: int, keys: np.ndarray, positions: int) -> np.ndarray:
        """Noise int64 ``[blocks * positions, lanes * parts]``, part 0 of lane 0 first.

        ``keys`` are those of the blocks: int64 ``[blocks]``.
        """
        part, lane = np.arange(part_count(width)), np.arange(lanes)[:, None]
        own = (part * lanes + lane).reshape(-1) * CHANNEL_STEP
        channels = keys[:, None, None] + own & _MASK
        noise = lfsr_states(seed, positions)[:, None] ^ channels
        return noise.reshape(len(keys) * positions, -1)

    def elaborate(self, platform) -> Module:
        m = Module()
        # 1: state and key of this word.
        state = Signal(NOISE_BITS, reset_less=True)
        key = Signal(NOISE_BITS, reset_less=True)
        m.d.sync += key.eq(self.key)
        with m.If(self.take):
            m.d.sync += state.eq(Mux(self.block, self.seed, leap(m, state, "leapt")))
        # 2: of each channel.
        for lane in range(self.lanes):
            for place in range(PARTS):
                behind = [(place >> width) * self.lanes + lane for width in range(3)]
                own = choose(
                    self.width,
                    *(Const(count * CHANNEL_STEP & _MASK, NOISE_BITS) for count in behind),
                )
                channel = Signal(NOISE_BITS, name=f"key_{lane}_{place}")
                m.d.comb += channel.eq(key + own)
                m.d.sync += self.o[lane][place].eq(state ^ channel)
        return m
