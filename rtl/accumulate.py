"""The accumulator memory: adds the parts of every sum."""

from typing import ClassVar

import numpy as np
from amaranth.hdl import Array, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import LEVELS, MAX_PASSES, Nest
from rtl.nest import nest_word

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """``v = sum << shift`` of its pass; ``acc[a]`` becomes ``v``, or ``acc[a] + v``.

    Each word of sums goes to the address of its step of the nest SUM. It starts an accumulation
    where levels 1 and 2 are at their first iteration, unless the run ``continues`` those of runs
    before it, and finishes it, giving a word at ``o``, where both are at their last. Sums wrap
    modulo ``2**bits``. On the path ``bypass`` the sum is what ``bypassed`` shows one cycle after
    ``valid``; on the other, ``bypassed`` must be 0.

    Latency 2, throughput 1; fixed rate: neither provides nor respects back-pressure. Words may go
    to the same address one right after the other. Cost: an adder a lane, whose look-up tables also
    choose its operand, and a choice of shifts.

    Parameters
    ----------
    lanes, sum_bits, bits, words : int
        Sums of a word, width of a sum and of an accumulator, accumulators.
    shift_bits : int
        Width of a pass's shift.
    bypass_bits : int
        Width, signed, of a bypassed sum.
    continues : bool
        Whether there is the member of this name; without it no run continues others.

    Members
    -------
    bypass : In(1), continues : In(1)
        Of the run; past the engine every sum starts an accumulation.
    passes : In(ArrayLayout(shift_bits, MAX_PASSES))
    step : In(stream of nest_word)
        One for each valid word, the cycle before it at the latest.
    first : Out(1)
        Whether the next valid word is of its first reduction step.
    valid : In(1)
    sums : In(ArrayLayout(signed(sum_bits), lanes))
    bypassed : In(ArrayLayout(signed(bypass_bits), lanes))
    o_valid : Out(1), o : Out(ArrayLayout(signed(bits), lanes))
    """

    latency = 2
    MEMBERS: ClassVar[dict[str, wiring.Member]] = {}
    """Members that a subclass has more."""

    def __init__(
        self,
        lanes: int,
        sum_bits: int,
        bits: int,
        words: int,
        shift_bits: int,
        bypass_bits: int,
        continues: bool = False,
    ) -> None:
        self.lanes = lanes
        self.bits = bits
        self.words = words
        self.may_continue = continues
        self.address_bits = (words - 1).bit_length()
        super().__init__(
            {
                "bypass": In(1),
                "passes": In(data.ArrayLayout(shift_bits, MAX_PASSES)),
                "step": In(stream.Signature(nest_word(LEVELS[Nest.SUM], self.address_bits, False))),
                "first": Out(1),
                "valid": In(1),
                "sums": In(data.ArrayLayout(signed(sum_bits), lanes)),
                "bypassed": In(data.ArrayLayout(signed(bypass_bits), lanes)),
                **({"continues": In(1)} if continues else {}),
                **self.MEMBERS,
                "o_valid": Out(1),
                "o": Out(data.ArrayLayout(signed(bits), lanes)),
            }
        )

    @staticmethod
    def model(
        bits: int,
        shifts: list[int],
        steps: dict[str, np.ndarray],
        sums: np.ndarray,
        store: dict[int, np.ndarray] | None = None,
        continues: bool = False,
    ) -> np.ndarray:
        """Finished words of a run on the path of the engine: int64 ``[finished, lanes]``.

        Parameters
        ----------
        bits : int
            Width of an accumulator.
        shifts : list of int
            Of each pass.
        steps : dict
            What ``LoopNest.model`` gives.
        sums : int64 [words, lanes]
        store : dict of address to int64 [lanes], optional
            What the accumulators hold; becomes what the run leaves there.
        continues : bool
        """
        store = {} if store is None else store
        starts = (steps["first"][:, 1] & steps["first"][:, 2] & (not continues)).tolist()
        half = 1 << bits - 1
        finished = []
        finishes = (steps["last"][:, 1] & steps["last"][:, 2]).tolist()
        for n, (address, index) in enumerate(zip(steps["address"], steps["index"])):
            word = sums[n] << shifts[index]
            if not starts[n]:
                word = store[address] + word
            store[address] = ((word + half) & 2 * half - 1) - half
            if finishes[n]:
                finished.append(store[address])
        return np.array(finished).reshape(-1, sums.shape[1])

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = words = memory.Memory(
            shape=unsigned(self.lanes * self.bits), depth=self.words, init=[]
        )
        read, write = words.read_port(), words.write_port()

        # The step of the next word waits here with its pass's shift: chosen in the cycle of the
        # word, the shift would come late to all lanes.
        step = Signal(self.step.payload.shape(), reset_less=True)
        shift = Signal(self.passes.shape().elem_shape, reset_less=True)
        waits = Signal()
        m.d.comb += [
            self.step.ready.eq(~waits | self.valid),
            self.first.eq(step.first[1]),
        ]
        with m.If(self.step.ready):
            m.d.sync += [
                waits.eq(self.step.valid),
                step.eq(self.step.payload),
                shift.eq(Array(self.passes)[self.step.payload.index]),
            ]

        # Stage 1: the word as its pass has it, beside the accumulator that is being read. The
        # word before it is written only now, so where it has the same address it is taken from
        # the register behind the adder.
        word = Signal(data.ArrayLayout(signed(self.bits), self.lanes), reset_less=True)
        valid, starts, finishes, repeats = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            read.addr.eq(step.address),
            read.en.eq(self.valid),
        ]
        begins = step.first[1] & step.first[2]
        if self.may_continue:
            begins &= ~self.continues
        m.d.sync += [
            valid.eq(self.valid),
            starts.eq(self.bypass | begins),
            finishes.eq(step.last[1] & step.last[2]),
            repeats.eq(valid & (write.addr == step.address)),
            write.addr.eq(step.address),
        ]
        for lane in range(self.lanes):
            with m.If(self.bypass):
                m.d.sync += word[lane].eq(0)
            with m.Else():
                m.d.sync += word[lane].eq(self.sums[lane] << shift)

        # Stage 2: the new accumulators.
        totals = Signal(data.ArrayLayout(signed(self.bits), self.lanes))
        for lane in range(self.lanes):
            stored = read.data.word_select(lane, self.bits).as_signed()
            operand = Signal(signed(self.bits), name=f"operand_{lane}")
            m.d.comb += [
                operand.eq(Mux(starts, self.bypassed[lane], Mux(repeats, self.o[lane], stored))),
                totals[lane].eq(self.total(m, word[lane], operand, f"chain_{lane}")),
            ]
        m.d.comb += [write.en.eq(valid), write.data.eq(totals)]
        m.d.sync += [self.o.eq(totals), self.o_valid.eq(valid & finishes)]
        return m

    def total(self, m: Module, first: Value, second: Value, name: str) -> Value:
        """The adder of a lane; combinational. ``name`` is for its signals."""
        return first + second
