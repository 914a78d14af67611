"""Activation fetch: a vector for each group at every step of a nest, padding put in."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.features import bank_count
from rtl.isa import COORDINATE, LAYOUTS, LEVELS, MAX_PASSES, Nest, Opcode
from rtl.nest import nest_word

__all__ = ["ActivationFetch", "vector_layout"]


def vector_layout(
    groups: int, words: int, lanes: int, bits: int, indexed: bool = False
) -> data.StructLayout:
    """A vector for each group; ``inside``: whether word 0 of the group's is inside the map.

    ``indexed``: with the index of the step.
    """
    word = data.ArrayLayout(bits, lanes)
    codes = data.ArrayLayout(data.ArrayLayout(word, words), groups)
    index = {"index": range(MAX_PASSES)} if indexed else {}
    return data.StructLayout({"codes": codes, "inside": data.ArrayLayout(1, groups), **index})


def multiple(value: Value, factor: int) -> Value:
    """``factor * value`` for factors 0 to 3, of shifts and an addition."""
    return ((value << 1) if factor & 2 else 0) + (value if factor & 1 else Const(0, 1))


class ActivationFetch(wiring.Component):
    """Reads, at each step of a nest, the ``words`` words of every group's vector.

    Word ``j`` of group ``p`` stands ``d = j * word_step + (p >> group_shift) * group_step`` words
    behind the step's address (modulo the memory) and is column ``column + d`` of its row (modulo
    the width of a coordinate). It is 0 where it is outside ``0 <= row < rows``,
    ``0 <= column < columns``. The addresses of a vector's words must differ modulo ``banks``; what
    comes of words in one bank is not defined.

    Latency 4 from a step to its vectors, throughput 1, back-pressure yes: all stages and the
    memory's words hold while the vectors at ``o`` wait.

    Parameters
    ----------
    groups, words, lanes, bits : int
        Vectors of a step, words of a vector, codes of a word, bits of a code. Up to 4 groups and
        4 words.
    address_bits : int
        Width of an address of feature memory.
    indexed : bool
        Whether vectors carry the index of their step.

    Members
    -------
    bounds : In(Opcode.BOUNDS layout)
    vector : In(Opcode.VECTOR layout)
        Both stable from the cycle before the first step until its run ends.
    i : In(stream of nest_word)
    read : Out(1), index : Out, word : In
        To and from :class:`~rtl.features.FeatureMemory`.
    o : Out(stream of vector_layout)
    """

    latency = 4

    def __init__(
        self,
        groups: int,
        words: int,
        lanes: int,
        bits: int,
        address_bits: int,
        indexed: bool = False,
    ) -> None:
        self.indexed = indexed
        self.groups = groups
        self.words = words
        self.lanes = lanes
        self.bits = bits
        self.address_bits = address_bits
        self.banks = bank_count(words)
        self.bank_bits = (self.banks - 1).bit_length()
        index = data.ArrayLayout(address_bits - self.bank_bits, self.banks)
        word = data.ArrayLayout(lanes * bits, self.banks)
        walk = nest_word(LEVELS[Nest.ACTIVATION], address_bits, True)
        super().__init__(
            {
                "bounds": In(LAYOUTS[Opcode.BOUNDS]),
                "vector": In(LAYOUTS[Opcode.VECTOR]),
                "i": In(stream.Signature(walk)),
                "read": Out(1),
                "index": Out(data.ArrayLayout(index, groups)),
                "word": In(data.ArrayLayout(word, groups)),
                "o": Out(stream.Signature(vector_layout(groups, words, lanes, bits, indexed))),
            }
        )

    @staticmethod
    def model(
        shape: tuple[int, int],
        settings: dict[str, dict],
        steps: dict[str, np.ndarray],
        memory: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of a walk.

        Parameters
        ----------
        shape : (groups, words)
        settings : dict
            Fields of ``bounds`` and of ``vector``.
        steps : dict
            What ``LoopNest.model`` gives.
        memory : int array [words, lanes]
            Unsigned codes; a power of two words.

        Returns
        -------
        codes int64 [steps, groups, words, lanes], inside bool [steps, groups, words]
        """
        bounds, vector = settings["bounds"], settings["vector"]
        group, word = np.indices(shape)
        behind = (group >> vector["group_shift"]) * vector["group_step"]
        offset = word * vector["word_step"] + behind
        address = (steps["address"][:, None, None] + offset) % len(memory)
        half = 1 << COORDINATE.width - 1
        column = (steps["column"][:, None, None] + offset + half) % (2 * half) - half
        row = steps["row"][:, None, None]
        inside = (row >= 0) & (row < bounds["rows"]) & (column >= 0) & (column < bounds["columns"])
        return np.where(inside[..., None], memory[address], 0), inside

    def elaborate(self, platform) -> Module:
        m = Module()
        step = self.i.payload
        advance = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.read.eq(advance),
        ]
        valid = Signal(self.latency)
        with m.If(advance):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))
        m.d.comb += self.o.valid.eq(valid[-1])
        row_inside = Signal()
        with m.If(advance):
            m.d.sync += row_inside.eq((step.row >= 0) & (step.row < self.bounds.rows))
        for group in range(self.groups):
            self.fetch_group(m, group, advance, row_inside)
        if self.indexed:
            index = [Signal(range(MAX_PASSES), name=f"index_{i}") for i in range(1, self.latency)]
            with m.If(advance):
                m.d.sync += Cat(*index, self.o.p.index).eq(Cat(step.index, *index))
        return m

    def fetch_group(self, m: Module, group: int, advance: Signal, row_inside: Signal) -> None:
        """The pipeline of one group."""
        step, name = self.i.payload, f"group_{group}"
        banks, bank_bits = self.banks, self.bank_bits

        # Settings are stable before the first step: products with constants may be registered.
        offset = Signal(signed(COORDINATE.width + 2), name=f"{name}_offset")
        with m.Switch(self.vector.group_shift):
            for shift in range(1 << len(self.vector.group_shift)):
                with m.Case(shift):
                    m.d.sync += offset.eq(multiple(self.vector.group_step, group >> shift))

        # Stage 1: where the group's vector begins.
        address = Signal(self.address_bits, name=f"{name}_address", reset_less=True)
        column = Signal(COORDINATE, name=f"{name}_column", reset_less=True)
        with m.If(advance):
            m.d.sync += [address.eq(step.address + offset), column.eq(step.column + offset)]

        # Stage 2: where its words stand.
        addresses, columns = [], []
        row_of_word = Signal(name=f"{name}_row_of_word", reset_less=True)
        with m.If(advance):
            m.d.sync += row_of_word.eq(row_inside)
        for j in range(self.words):
            word_address = Signal(self.address_bits, name=f"{name}_address_{j}", reset_less=True)
            word_column = Signal(COORDINATE, name=f"{name}_column_{j}", reset_less=True)
            behind = Signal(signed(COORDINATE.width + 2), name=f"{name}_behind_{j}")
            m.d.sync += behind.eq(multiple(self.vector.word_step, j))
            with m.If(advance):
                m.d.sync += [
                    word_address.eq(address + behind),
                    word_column.eq(column + behind),
                ]
            addresses.append(word_address)
            columns.append(word_column)

        # Stage 3: each bank reads the word that it holds; which words are inside the map.
        for bank in range(banks):
            index = Signal(self.address_bits - bank_bits, name=f"{name}_index_{bank}")
            m.d.comb += index.eq(addresses[0][bank_bits:])
            for j in range(1, self.words):
                with m.If(addresses[j][:bank_bits] == bank):
                    m.d.comb += index.eq(addresses[j][bank_bits:])
            m.d.comb += self.index[group][bank].eq(index)
        # Stage 4: the words in their order.
        for j in range(self.words):
            inside = Signal(name=f"{name}_inside_{j}", reset_less=True)
            held = Signal(max(bank_bits, 1), name=f"{name}_bank_{j}", reset_less=True)
            word = Signal(self.lanes * self.bits, name=f"{name}_word_{j}")
            codes = self.o.p.codes[group][j]
            with m.If(advance):
                m.d.sync += [
                    inside.eq(row_of_word & (columns[j] >= 0) & (columns[j] < self.bounds.columns)),
                    held.eq(addresses[j][:bank_bits]),
                    codes.as_value().eq(word),
                ]
                if j == 0:
                    m.d.sync += self.o.p.inside[group].eq(inside)
            # In this order it is the registers' synchronous reset, which costs nothing.
            with m.If(advance & ~inside):
                m.d.sync += codes.as_value().eq(0)
            m.d.comb += word.eq(self.word[group][held])
