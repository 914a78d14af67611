"""The accumulator memory: adds the parts of every sum, or keeps the largest."""

import numpy as np
from amaranth.hdl import Array, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import MAX_PASSES, Accumulate
from rtl.nest import nest_word

__all__ = ["Accumulator", "finished_word", "pass_settings"]


def pass_settings(shift_bits: int) -> data.StructLayout:
    """What a pass does to its sums: shift left, and negate."""
    return data.StructLayout({"shift": shift_bits, "negate": 1})


def finished_word(lanes: int, bits: int) -> data.StructLayout:
    """A finished word of accumulators; ``group_first``: the first of its group of outputs."""
    sums = data.ArrayLayout(signed(bits), lanes)
    return data.StructLayout({"sums": sums, "group_first": 1})


class Accumulator(wiring.Component):
    """``v = ±sum << shift``; ``acc[a]`` becomes ``v``, ``acc[a] + v`` or ``max(acc[a], sum)``.

    Each word of sums goes to the address of its step of the nest SUM. It starts an accumulation
    where levels 1 and 2 are at their first iteration, and finishes it, giving a word at ``o``
    instead of storing it, where both are at their last. Sums wrap modulo ``2**bits``; the largest
    is found on the lowest ``max_bits`` bits, which must hold the sums.

    Latency 2, throughput 1, back-pressure yes. A word that continues an accumulation less than
    three cycles after the word before it at that address waits until it is three.

    Parameters
    ----------
    lanes, sum_bits, bits, words : int
        Sums of a word, width of a sum and of an accumulator, accumulators.
    shift_bits : int
        Width of a pass's shift.
    max_bits : int
        Width, signed, in which the largest is found.

    Members
    -------
    operation : In(Accumulate)
    passes : In(ArrayLayout(pass_settings, MAX_PASSES))
    step : In(stream of nest_word)
    i : In(stream of ArrayLayout(signed(sum_bits), lanes))
    o : Out(stream of finished_word)
    """

    LEVELS = 4
    latency = 2
    turnaround = 3

    def __init__(
        self, lanes: int, sum_bits: int, bits: int, words: int, shift_bits: int, max_bits: int
    ) -> None:
        self.lanes = lanes
        self.bits = bits
        self.words = words
        self.max_bits = max_bits
        self.address_bits = (words - 1).bit_length()
        super().__init__(
            {
                "operation": In(Accumulate),
                "passes": In(data.ArrayLayout(pass_settings(shift_bits), MAX_PASSES)),
                "step": In(stream.Signature(nest_word(self.LEVELS, self.address_bits, False))),
                "i": In(stream.Signature(data.ArrayLayout(signed(sum_bits), lanes))),
                "o": Out(stream.Signature(finished_word(lanes, bits))),
            }
        )

    @staticmethod
    def model(
        bits: int,
        operation: Accumulate,
        passes: list[dict],
        steps: dict[str, np.ndarray],
        sums: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finished words of a run.

        Parameters
        ----------
        bits : int
            Width of an accumulator.
        operation : Accumulate
        passes : list of dict
            Fields of :func:`pass_settings`.
        steps : dict
            What ``LoopNest.model`` gives.
        sums : int64 [words, lanes]

        Returns
        -------
        int64 [finished, lanes], bool [finished]
            Sums; the first words of their groups.
        """
        store: dict[int, np.ndarray] = {}
        half = 1 << bits - 1
        finished, group_first = [], []
        starts = (steps["first"][:, 1] & steps["first"][:, 2]).tolist()
        finishes = (steps["last"][:, 1] & steps["last"][:, 2]).tolist()
        for n, (address, index) in enumerate(zip(steps["address"], steps["index"])):
            word = sums[n]
            if operation is Accumulate.ADD:
                entry = passes[index]
                word = (-word if entry["negate"] else word) << entry["shift"]
            if not starts[n]:
                stored = store[address]
                word = np.maximum(stored, word) if operation is Accumulate.MAX else stored + word
            word = ((word + half) & 2 * half - 1) - half
            if finishes[n]:
                finished.append(word)
                group_first.append(bool(steps["first"][n, 0]))
            else:
                store[address] = word
        return np.array(finished).reshape(-1, sums.shape[1]), np.array(group_first, bool)

    def elaborate(self, platform) -> Module:
        m = Module()
        step = self.step.payload
        start, finish = Signal(), Signal()
        m.d.comb += [
            start.eq(step.first[1] & step.first[2]),
            finish.eq(step.last[1] & step.last[2]),
        ]

        m.submodules.memory = words = memory.Memory(
            shape=unsigned(self.lanes * self.bits), depth=self.words, init=[]
        )
        read, write = words.read_port(), words.write_port()

        # Words under way behind the input: stage 1 reads, stage 2 writes or leaves.
        valid = [Signal(name=f"valid_{i}") for i in (1, 2)]
        finishes = [Signal(name=f"finish_{i}") for i in (1, 2)]
        address = [Signal(self.address_bits, name=f"address_{i}") for i in (1, 2)]
        group_first = [Signal(name=f"group_first_{i}") for i in (1, 2)]

        advance, wait, accept = Signal(), Signal(), Signal()
        pending = [v & ~f & (a == step.address) for v, f, a in zip(valid, finishes, address)]
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            wait.eq(~start & (pending[0] | pending[1])),
            accept.eq(self.i.valid & self.step.valid & advance & ~wait),
            self.i.ready.eq(self.step.valid & advance & ~wait),
            self.step.ready.eq(self.i.valid & advance & ~wait),
            read.addr.eq(step.address),
            read.en.eq(accept),
        ]

        # Stage 1: the word as its pass has it, beside the accumulator that is being read.
        current = Signal(self.passes.shape().elem_shape)
        m.d.comb += current.eq(Array(self.passes)[step.index])
        largest = self.operation == Accumulate.MAX
        word = Signal(data.ArrayLayout(signed(self.bits), self.lanes), reset_less=True)
        starts = Signal()
        with m.If(advance):
            m.d.sync += [
                valid[0].eq(accept),
                finishes[0].eq(finish),
                address[0].eq(step.address),
                group_first[0].eq(step.first[0]),
                starts.eq(start),
            ]
            for lane in range(self.lanes):
                shifted = Signal(signed(self.bits), name=f"shifted_{lane}")
                with m.If(largest):
                    m.d.comb += shifted.eq(self.i.p[lane])
                with m.Else():
                    m.d.comb += shifted.eq(
                        (self.i.p[lane] ^ current.negate.replicate(len(self.i.p[lane])).as_signed())
                        + current.negate
                        << current.shift
                    )
                m.d.sync += word[lane].eq(shifted)

        # Stage 2: the new accumulators.
        result = Signal(data.ArrayLayout(signed(self.bits), self.lanes), reset_less=True)
        with m.If(advance):
            m.d.sync += [
                valid[1].eq(valid[0]),
                finishes[1].eq(finishes[0]),
                address[1].eq(address[0]),
                group_first[1].eq(group_first[0]),
            ]
            for lane in range(self.lanes):
                stored = read.data.word_select(lane, self.bits).as_signed()
                total = Signal(signed(self.bits), name=f"total_{lane}")
                bits = self.max_bits
                keep = Signal(name=f"keep_{lane}")
                m.d.comb += [
                    keep.eq(stored[:bits].as_signed() > word[lane][:bits].as_signed()),
                    total.eq(stored + word[lane]),
                ]
                with m.If(starts):
                    m.d.sync += result[lane].eq(word[lane])
                with m.Elif(largest):
                    m.d.sync += result[lane].eq(Mux(keep, stored, word[lane]))
                with m.Else():
                    m.d.sync += result[lane].eq(total)
        m.d.comb += [
            write.en.eq(valid[1] & ~finishes[1]),
            write.addr.eq(address[1]),
            write.data.eq(result),
            self.o.valid.eq(valid[1] & finishes[1]),
            self.o.p.sums.eq(result),
            self.o.p.group_first.eq(group_first[1]),
        ]
        return m
