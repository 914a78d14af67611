"""Shift-add matrix multiplication: an array of dot-product columns with stationary weights."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from quant.numbers import decode_terms
from rtl.arithmetic import adder_tree, tree_levels
from rtl.packing import unpack

__all__ = ["ENGINE", "Column", "ShiftGemm", "ShiftGemmConfig"]


@dataclass(frozen=True)
class ShiftGemmConfig:
    """Size of the array.

    Parameters
    ----------
    lanes : int
        Activations of a dot product, and columns of the array: a power of two, 4 to 64.
    term_bits : int
        Width of a weight's term: sign and the codes 0 (zero) and ``e + 1`` for ``2**e``; 2 to 5.
    activation_bits : int
        Width of an activation.
    """

    lanes: int
    term_bits: int
    activation_bits: int

    KEYS: ClassVar[tuple[str, ...]] = ("lanes", "term_bits")

    def __post_init__(self) -> None:
        if self.lanes not in (4, 8, 16, 32, 64):
            raise ValueError(f"lanes = {self.lanes}: allowed are 4, 8, 16, 32, 64")
        if not 2 <= self.term_bits <= 5:
            raise ValueError(f"term_bits = {self.term_bits}: allowed is 2 to 5")
        if not 2 <= self.activation_bits <= 16:
            raise ValueError(f"activation_bits = {self.activation_bits}: allowed is 2 to 16")

    @property
    def exponents(self) -> int:
        """Exponents that a term can have: 0 .. exponents - 1."""
        return (1 << (self.term_bits - 1)) - 1

    @property
    def product_bits(self) -> int:
        """Width of an unsigned product."""
        return self.activation_bits + self.exponents - 1

    @property
    def sum_bits(self) -> int:
        """Width of a signed sum of a column."""
        return self.product_bits + (self.lanes - 1).bit_length() + 1

    @property
    def weight_bits(self) -> int:
        """Width of a weight word: the terms of one column."""
        return self.lanes * self.term_bits

    @property
    def macs_per_cycle(self) -> int:
        """Terms multiplied and added in a cycle."""
        return self.lanes * self.lanes

    @property
    def latency(self) -> int:
        """Cycles from an accepted activation word to its sums."""
        return 2 + tree_levels(self.lanes)

    def to_dict(self) -> dict[str, int]:
        """The architecture's ``[engine]`` keys."""
        return {key: getattr(self, key) for key in self.KEYS}


class Column(wiring.Component):
    """One dot product of folded terms: ``sum = Σ_l fold(vector[l], weights[l])``.

    ``fold(a, ±2**e)`` is ``b << e`` with ``b = a`` for plus and ``b = 2**A - 1 - a`` (all bits
    inverted) for minus, so the whole datapath is unsigned: ``-a * 2**e = (b - (2**A - 1)) << e``,
    and the second part depends on weights only. Latency ``1 + tree_levels(lanes)``, throughput 1,
    all registers hold while ``enable`` is low.
    """

    def __init__(self, config: ShiftGemmConfig) -> None:
        self.config = config
        super().__init__(
            {
                "enable": In(1),
                "vector": In(data.ArrayLayout(config.activation_bits, config.lanes)),
                "weights": In(data.ArrayLayout(config.term_bits, config.lanes)),
                "sum": Out(config.sum_bits - 1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a vector to its sum."""
        return 1 + tree_levels(self.config.lanes)

    @staticmethod
    def model(config: ShiftGemmConfig, codes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Exact sums of several columns, int64 ``[..., words, columns]``.

        Parameters
        ----------
        config : ShiftGemmConfig
        codes : int [..., columns, lanes]
            Terms as :func:`~quant.numbers.encode_terms` gives them.
        vectors : int [..., words, lanes]
            Unsigned codes.
        """
        terms = decode_terms(codes, config.term_bits)
        # s * a plus (2**A - 1) where s is negative: that is a, or its complement.
        complement = np.where(terms < 0, -terms, 0).sum(axis=-1)
        complement *= (1 << config.activation_bits) - 1
        # Exact in float64: sums stay far below 2**53.
        product = vectors.astype(np.float64) @ terms.swapaxes(-1, -2).astype(np.float64)
        return product.astype(np.int64) + complement[..., None, :]

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        products = []
        for lane in range(c.lanes):
            code = self.weights[lane][: c.term_bits - 1]
            negative = self.weights[lane][c.term_bits - 1]
            folded = Signal(c.activation_bits, name=f"folded_{lane}")
            m.d.comb += folded.eq(self.vector[lane] ^ negative.replicate(c.activation_bits))
            product = Signal(c.product_bits, name=f"product_{lane}", reset_less=True)
            with m.If(self.enable), m.Switch(code):
                with m.Case(0):
                    m.d.sync += product.eq(0)
                for exponent in range(c.exponents):
                    with m.Case(exponent + 1):
                        m.d.sync += product.eq(folded << exponent)
            products.append(product)
        m.d.comb += self.sum.eq(adder_tree(m, products, self.enable, "sum"))
        return m


class ShiftGemm(wiring.Component):
    """``lanes`` columns, each the dot product of one activation word with its stationary weights.

    For activation word ``a`` and the loaded tile ``w``, ``sums[c] = Σ_l fold(a[l], w[c][l])`` (see
    :class:`Column`). The exact product sum is ``sums[c] - correction`` where the correction is
    ``Σ (2**A - 1) * 2**e`` over the negative terms, plus ``2**(A - 1) * Σ w`` where activations are
    signed; it depends on the weights only and the compiler puts it into the bias.

    A tile is ``lanes`` weight words, column 0 first. It serves ``last_vector + 1`` activation
    words while the next tile is loaded, one word a cycle; a swap costs no cycle.

    Latency ``2 + tree_levels(lanes)``, throughput 1, back-pressure on all streams. The first
    word of a tile waits for the tile. Cost: about 43 look-up tables for each of the ``lanes**2``
    terms at 8 lanes, 4-bit terms and 8-bit activations (``nomul synth --arch tiny``);
    no multiplier.

    Parameters
    ----------
    config : ShiftGemmConfig

    Members
    -------
    settings : In(Settings)
        ``last_vector``: activation words a tile minus one; ``signed``: activations are two's
        complement (their top bit is flipped, which adds ``2**(A - 1)``; part of the correction).
    start : In(1)
        A cycle before a run: forgets the loaded tiles.
    weights : In(stream of ArrayLayout(term_bits, lanes))
    activations : In(stream of ArrayLayout(activation_bits, lanes))
    sums : Out(stream of ArrayLayout(signed(sum_bits), lanes))

    Source: own design after PAPERS A (log-quantized GEMM core); folding the sign is ours.
    """

    Config = ShiftGemmConfig
    Settings = data.StructLayout({"last_vector": 16, "signed": 1})

    def __init__(self, config: ShiftGemmConfig) -> None:
        self.config = config
        super().__init__(
            {
                "settings": In(self.Settings),
                "start": In(1),
                "weights": In(stream.Signature(data.ArrayLayout(config.term_bits, config.lanes))),
                "activations": In(
                    stream.Signature(data.ArrayLayout(config.activation_bits, config.lanes))
                ),
                "sums": Out(
                    stream.Signature(data.ArrayLayout(signed(config.sum_bits), config.lanes))
                ),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an accepted activation word to its sums."""
        return self.config.latency

    @staticmethod
    def model(
        config: ShiftGemmConfig,
        settings: dict[str, int],
        weights: np.ndarray,
        activations: np.ndarray,
    ) -> np.ndarray:
        """Exact sums of a run.

        Parameters
        ----------
        config : ShiftGemmConfig
        settings : dict
            Fields of :data:`Settings`.
        weights : uint32 [tiles * lanes, pieces]
            Weight words, column after column, tile after tile.
        activations : int [..., tiles * (last_vector + 1), lanes]
            Unsigned codes.

        Returns
        -------
        int64 [..., words, lanes]
            The folded sums: column sums of ``b << e``, see the class.
        """
        lanes, bits = config.lanes, config.activation_bits
        codes = unpack(weights, config.term_bits, lanes).reshape(-1, lanes, lanes)
        a = np.asarray(activations, np.int64) ^ (settings["signed"] << (bits - 1))
        words = a.shape
        a = a.reshape(*words[:-2], len(codes), settings["last_vector"] + 1, lanes)
        return Column.model(config, codes, a).reshape(words)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        terms = data.ArrayLayout(c.term_bits, c.lanes)

        # Loading: columns enter at the far end, so that after `lanes` words column 0 is at 0.
        def registers(name: str) -> list[Signal]:
            return [Signal(terms, name=f"{name}_{i}", reset_less=True) for i in range(c.lanes)]

        loading, active = registers("loading"), registers("active")
        loaded = Signal(range(c.lanes + 1))
        full = Signal()
        m.d.comb += [full.eq(loaded == c.lanes), self.weights.ready.eq(~full)]
        with m.If(self.weights.valid & self.weights.ready):
            m.d.sync += loaded.eq(loaded + 1)
            m.d.sync += [a.eq(b) for a, b in zip(loading, [*loading[1:], self.weights.payload])]

        # Stage 0: the vector is registered; the first one of a tile brings its tile along.
        advance = Signal()
        remaining = Signal(16)
        first = Signal(init=1)
        accept = Signal()
        vector = Signal(self.activations.p.shape(), reset_less=True)
        flip = Signal(c.activation_bits)
        m.d.comb += [
            flip.eq(self.settings.signed << (c.activation_bits - 1)),
            self.activations.ready.eq(advance & (~first | full)),
            accept.eq(self.activations.valid & self.activations.ready),
        ]
        with m.If(accept):
            m.d.sync += [vector[i].eq(self.activations.p[i] ^ flip) for i in range(c.lanes)]
            with m.If(first):
                m.d.sync += [a.eq(b) for a, b in zip(active, loading)]
                m.d.sync += [
                    loaded.eq(0),
                    remaining.eq(self.settings.last_vector),
                    first.eq(self.settings.last_vector == 0),
                ]
            with m.Else():
                m.d.sync += [remaining.eq(remaining - 1), first.eq(remaining == 1)]
        with m.If(self.start):
            m.d.sync += [loaded.eq(0), first.eq(1)]

        # Stages 1 and on: the columns; the bits of `valid` follow the data.
        valid = Signal(self.latency)
        m.d.comb += [advance.eq(~self.sums.valid | self.sums.ready), self.sums.valid.eq(valid[-1])]
        with m.If(advance):
            m.d.sync += valid.eq(Cat(accept, valid[:-1]))
        for i in range(c.lanes):
            m.submodules[f"column_{i}"] = column = Column(c)
            m.d.comb += [
                column.enable.eq(advance),
                column.vector.eq(vector),
                column.weights.eq(active[i]),
                self.sums.p[i].eq(column.sum),
            ]
        return m


ENGINE = ShiftGemm
