"""Convolution arrays of 25 processing elements whose weights are indices into a codebook."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.codebook.column import CodebookColumn
from rtl.codebook.multiples import (
    CODE_BITS,
    ENTRIES,
    VALUE_BITS,
    VALUES,
    Multiples,
    signed_values,
)
from rtl.engines import Share, require
from rtl.packing import unpack
from rtl.tile_control import tile_control

__all__ = ["ENGINE", "SIDE", "Conv5x5", "Conv5x5Config"]

SIDE = 5
"""Rows and columns of an array: the inputs that enter it, and the outputs that it works for."""
# Registers in front of the columns: the words as accepted, and what the gates take.
_OPERAND_STAGES = 2


@dataclass(frozen=True)
class Conv5x5Config:
    """Size of the arrays.

    Parameters
    ----------
    lanes : int
        N: codes of a feature word, and output channels of a group; a multiple of 5, 5 to 60.
    vector_words : int
        T: feature words of a vector, 1 to 4. An output channel has ``N * T`` elements.
    groups : int
        P: groups of outputs, each with a vector of its own: 1, 2 or 4.
    activation_bits : int
        A, width of an activation, 2 to 16.
    """

    lanes: int
    vector_words: int
    groups: int
    activation_bits: int

    KEYS: ClassVar[tuple[str, ...]] = ("lanes", "vector_words", "groups")
    splits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for key, allowed in (
            ("lanes", tuple(range(SIDE, 61, SIDE))),
            ("vector_words", (1, 2, 3, 4)),
            ("groups", (1, 2, 4)),
            ("activation_bits", range(2, 17)),
        ):
            require(key, getattr(self, key), allowed)

    @property
    def column_lanes(self) -> int:
        """Processing elements that work for an output channel."""
        return self.lanes * self.vector_words

    @property
    def ready(self) -> int:
        """Fewest cycles from a run's first weight word to its first vector."""
        return ENTRIES

    @property
    def input_arrays(self) -> int:
        """Tic: arrays side by side, each for five inputs."""
        return self.column_lanes // SIDE

    @property
    def output_arrays(self) -> int:
        """Toc: rows of arrays, each for five outputs."""
        return self.lanes * self.groups // SIDE

    @property
    def sum_bits(self) -> int:
        """Width of a signed sum."""
        return CodebookColumn.sum_bits(self.column_lanes, self.activation_bits)

    @property
    def weight_bits(self) -> int:
        """Width of a weight word: the indices of an output channel."""
        return self.column_lanes * CODE_BITS

    @property
    def macs_per_cycle(self) -> int:
        """Processing elements: products made and added in a cycle."""
        return self.column_lanes * self.lanes * self.groups

    @property
    def latency(self) -> int:
        """Cycles from an accepted word of activations to its sums."""
        columns = CodebookColumn.column_latency(self.column_lanes, self.activation_bits)
        return _OPERAND_STAGES + columns

    def to_dict(self) -> dict[str, Any]:
        """The architecture's ``[engine]`` keys."""
        return {key: getattr(self, key) for key in self.KEYS}


class Conv5x5(wiring.Component):
    """``groups`` times ``lanes`` output channels; each group has a vector of its own every cycle.

    For the vectors ``a[p]`` of ``L = vector_words * lanes`` codes (word 0 first) and the loaded
    tile ``w``, ``sums[p][c] = Σ_l w[p % g][c][l] * a[p][l]``, where each weight is 0 or one of the
    three values of the run's settings. An array is five inputs times five outputs of it: every
    kernel size is a number of steps, so none leaves elements of an array without work.

    ``split`` regroups the arrays: the groups are ``g = 2**split`` blocks of ``lanes`` output
    channels times ``groups / g`` positions of the map; group p works for block ``p % g``. A tile is
    ``lanes * g`` weight words, block 0 first, output channel 0 first. How tiles follow each other
    says :func:`~rtl.tile_control.tile_control`; the first activations of a run are taken
    ``ENTRIES`` cycles after its first weight word at the earliest, when the tables of multiples
    are full.

    Latency ``config.latency``, throughput 1. Weights and activations have back-pressure, sums have
    none. Cost: ``python -m benchmarks.conv5x5``.

    Parameters
    ----------
    config : Conv5x5Config
    family : str, optional
        FPGA family whose primitives the columns may use.

    Members
    -------
    settings : In(Settings)
        ``last_vector``: words of activations a tile minus one; ``signed``: activations are two's
        complement (their top bit is flipped, which adds ``2**(A - 1)``); ``split``: log2 of g;
        ``value_0`` .. ``value_2``: the codebook, two's complement.
    start : In(1)
        A cycle before a run: forgets the loaded tile and the tables.
    weights : In(stream of ArrayLayout(index, vector_words * lanes))
        Index 0 is the weight 0, v + 1 is value v.
    activations : In(stream of [groups][vector_words][lanes] codes)
    valid : Out(1)
    sums : Out([groups][lanes] of signed(sum_bits))

    Source: PAPERS E, arrays in parallel over input and output channels; the order in which they
    work, and adding before multiplying, are ours.
    """

    Config = Conv5x5Config
    Settings = data.StructLayout(
        {
            "last_vector": 16,
            "signed": 1,
            "split": 2,
            **{f"value_{v}": VALUE_BITS for v in range(VALUES)},
        }
    )

    def __init__(self, config: Conv5x5Config, family: str | None = None) -> None:
        self.config = config
        self.family = family
        c = config
        word = data.ArrayLayout(c.activation_bits, c.lanes)
        vectors = data.ArrayLayout(data.ArrayLayout(word, c.vector_words), c.groups)
        sums = data.ArrayLayout(data.ArrayLayout(signed(c.sum_bits), c.lanes), c.groups)
        super().__init__(
            {
                "settings": In(self.Settings),
                "start": In(1),
                "weights": In(stream.Signature(data.ArrayLayout(CODE_BITS, c.column_lanes))),
                "activations": In(stream.Signature(vectors)),
                "valid": Out(1),
                "sums": Out(sums),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an accepted word of activations to its sums."""
        return self.config.latency

    @staticmethod
    def values(settings: dict[str, int]) -> np.ndarray:
        """The codebook of a run: int64 [VALUES]."""
        return signed_values(np.array([settings[f"value_{v}"] for v in range(VALUES)]))

    @staticmethod
    def share(config: Conv5x5Config, settings: dict[str, int]) -> Share:
        """What belongs to a tile of weights; see the contract."""
        split = settings["split"]
        if 1 << split > config.groups:
            raise ValueError(f"split = {split}: the machine has {config.groups} groups")
        vectors = settings["last_vector"] + 1
        return Share(config.lanes << split, vectors, vectors)

    @staticmethod
    def excess(config: Conv5x5Config, weights: np.ndarray) -> np.ndarray:
        """Products have nothing too much; see the contract."""
        return np.zeros(np.shape(weights), np.int64)

    @staticmethod
    def model(
        config: Conv5x5Config,
        settings: dict[str, int],
        weights: np.ndarray,
        activations: np.ndarray,
    ) -> np.ndarray:
        """Exact sums of a run.

        Parameters
        ----------
        config : Conv5x5Config
        settings : dict
            Fields of :data:`Settings`.
        weights : uint32 [tiles * lanes << split, pieces]
        activations : int [..., tiles * (last_vector + 1), groups, vector_words, lanes]
            Unsigned codes.

        Returns
        -------
        int64 [..., words of sums, groups, lanes]
        """
        c, blocks = config, 1 << settings["split"]
        codes = unpack(weights, CODE_BITS, c.column_lanes)
        codes = codes.reshape(-1, blocks, c.lanes, c.column_lanes)
        a = np.asarray(activations, np.int64) ^ (settings["signed"] << c.activation_bits - 1)
        leading = a.shape[:-4]
        vectors = settings["last_vector"] + 1
        a = a.reshape(*leading, len(codes), vectors, c.groups, c.column_lanes)
        values = Conv5x5.values(settings)
        groups = [
            CodebookColumn.model(values, codes[:, p % blocks], a[..., p, :])
            for p in range(c.groups)
        ]
        return np.stack(groups, axis=-2).reshape(*leading, -1, c.groups, c.lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.multiples = multiples = Multiples()
        m.d.comb += [
            multiples.start.eq(self.start),
            multiples.go.eq(self.weights.valid),
            *(multiples.values[v].eq(self.settings[f"value_{v}"]) for v in range(VALUES)),
        ]
        swap, loaded = tile_control(m, self, self.last_word(), multiples.ready)
        word, load = self.loader(m, loaded)
        vectors = self.operands(m)

        switch = Signal()
        m.d.sync += switch.eq(swap)
        valid = Signal(self.latency)
        accept = self.activations.valid & self.activations.ready
        m.d.sync += valid.eq(Cat(accept, valid))
        m.d.comb += self.valid.eq(valid[-1])

        # Indices enter at the last output, so that in the end output 0 has the first word.
        for p in range(c.groups):
            chain: Value = word
            for n in reversed(range(c.lanes)):
                column = CodebookColumn(c.column_lanes, c.activation_bits, self.family)
                m.submodules[f"column_{p}_{n}"] = column
                m.d.comb += [
                    column.word.eq(chain),
                    column.load.eq(load[p]),
                    column.switch.eq(switch),
                    column.vector.eq(vectors[p]),
                    column.multiples.eq(multiples.o),
                    self.sums[p][n].eq(column.sum),
                ]
                chain = column.loaded
        return m

    def last_word(self) -> Signal | Value:
        """Number of the last weight word of a tile, ``lanes << split`` less one."""
        c = self.config
        largest = c.lanes * c.groups - 1
        numbers = [
            Const((c.lanes << split) - 1, largest.bit_length())
            for split in range(c.groups.bit_length())
        ]
        last: Value = numbers[0]
        for split, number in enumerate(numbers[1:], 1):
            last = Mux(self.settings.split == split, number, last)
        return last

    def loader(self, m: Module, loaded: Signal) -> tuple[Signal, Signal]:
        """The registered weight word, and the groups that take it."""
        c = self.config
        word = Signal(c.weight_bits, reset_less=True)
        load = Signal(c.groups)
        m.d.sync += word.eq(self.weights.p)
        accept = self.weights.valid & self.weights.ready
        # Whether the word belongs to each block.
        blocks = [(loaded >= c.lanes * b) & (loaded < c.lanes * (b + 1)) for b in range(c.groups)]
        for p in range(c.groups):
            # The lowest `split` bits of a group's number are its block.
            mine = Array(blocks[p & (1 << split) - 1] for split in range(c.groups.bit_length()))
            m.d.sync += load[p].eq(accept & mine[self.settings.split])
        return word, load

    def operands(self, m: Module) -> list[Signal]:
        """The vector of each group, two cycles after it is accepted: unsigned codes."""
        c = self.config
        flip = self.settings.signed << (c.activation_bits - 1)
        layout = data.ArrayLayout(c.activation_bits, c.column_lanes)
        vectors = []
        for p in range(c.groups):
            taken = Signal(layout, name=f"taken_{p}", reset_less=True)
            vector = Signal(layout, name=f"vector_{p}", reset_less=True)
            m.d.sync += vector.eq(taken)
            for lane in range(c.column_lanes):
                t, n = divmod(lane, c.lanes)
                m.d.sync += taken[lane].eq(self.activations.p[p][t][n] ^ flip)
            vectors.append(vector)
        return vectors


ENGINE = Conv5x5
