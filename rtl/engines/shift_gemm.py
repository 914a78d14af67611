"""Shift-add matrix multiplication: groups of dot-product columns with stationary weights."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from quant.weight_formats import WeightFormat
from rtl.columns.column import Column, operand_layout
from rtl.columns.dsp import DspPair, Folding, Packing, delayed
from rtl.columns.plan import PLANS, LanePlan
from rtl.engines import Share, require
from rtl.packing import unpack
from rtl.tile_control import tile_control

__all__ = ["ENGINE", "ShiftGemm", "ShiftGemmConfig"]

# Registers in front of the columns: the words as accepted, and what the lanes select from.
_OPERAND_STAGES = 2


@dataclass(frozen=True)
class ShiftGemmConfig:
    """Size of the array and format of its weights.

    Parameters
    ----------
    lanes : int
        N: codes of a feature word, and columns of a group; a power of two, 4 to 64.
    vector_words : int
        T: feature words of a vector, 1 to 4. A column has ``N * T`` lanes.
    groups : int
        P: groups of columns: 1, 2 or 4.
    weights : str
        Weight format of the lanes, see :mod:`quant.weight_formats`.
    dsp_columns : int
        Columns of each group that are made of multipliers: even, 0 to N.
    activation_bits : int
        A, width of an activation, 2 to 16.
    """

    lanes: int
    vector_words: int
    groups: int
    weights: str
    dsp_columns: int
    activation_bits: int

    KEYS: ClassVar[tuple[str, ...]] = (
        "lanes",
        "vector_words",
        "groups",
        "weights",
        "dsp_columns",
    )
    splits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for key, allowed in (
            ("lanes", (4, 8, 16, 32, 64)),
            ("vector_words", (1, 2, 3, 4)),
            ("groups", (1, 2, 4)),
            ("weights", tuple(PLANS)),
            ("activation_bits", range(2, 17)),
        ):
            require(key, getattr(self, key), allowed)
        require("dsp_columns", self.dsp_columns, range(0, self.lanes + 1, 2))
        if self.dsp_columns:
            try:
                Packing(self.column_lanes, self.plan, self.activation_bits)
            except ValueError as error:
                raise ValueError(f"dsp_columns = {self.dsp_columns}: {error}") from error

    @property
    def plan(self) -> LanePlan:
        """How the lanes make products."""
        return PLANS[self.weights]

    @property
    def format(self) -> WeightFormat:
        """Sizes that a weight can have, and their codes."""
        return self.plan.format

    @property
    def column_lanes(self) -> int:
        """Lanes of a column."""
        return self.lanes * self.vector_words

    @property
    def packing(self) -> Packing:
        """How DSP columns make products; only where there are some."""
        return Packing(self.column_lanes, self.plan, self.activation_bits)

    @property
    def column_latency(self) -> int:
        """Cycles from a vector to its sums: of the slower kind of columns."""
        latency = Column.column_latency(self.column_lanes, self.plan)
        return max(latency, self.packing.latency) if self.dsp_columns else latency

    @property
    def ready(self) -> int:
        """Fewest cycles from a run's first weight word to its first vector: none but the load's."""
        return 0

    @property
    def sum_bits(self) -> int:
        """Width of a signed sum of a column."""
        return Column.sum_bits(self.column_lanes, self.plan, self.activation_bits) + 1

    @property
    def weight_bits(self) -> int:
        """Width of a weight word: the codes of one column."""
        return self.column_lanes * self.format.bits

    @property
    def macs_per_cycle(self) -> int:
        """Products made and added in a cycle."""
        return self.column_lanes * self.lanes * self.groups

    @property
    def latency(self) -> int:
        """Cycles from an accepted word of activations to its sums."""
        return _OPERAND_STAGES + self.column_latency

    def to_dict(self) -> dict[str, Any]:
        """The architecture's ``[engine]`` keys."""
        return {key: getattr(self, key) for key in self.KEYS}


class ShiftGemm(wiring.Component):
    """``groups`` times ``lanes`` columns; each group has a vector of its own every cycle.

    For the vectors ``a[p]`` of ``L = vector_words * lanes`` codes (word 0 first) and the loaded
    tile ``w``, ``sums[p][c] = Σ_l fold(a[p][l], w[p % g][c][l])``, see
    :mod:`rtl.columns.plan`. That is the product sum and, for each of its weights,
    :meth:`excess`; where activations are signed, ``2**(A - 1) * Σ w`` comes on top. Both depend on
    the weights only and the compiler takes them off the bias.

    ``split`` regroups the array: the groups are ``g = 2**split`` blocks of ``lanes`` output
    channels times ``groups / g`` positions of the map; group p works for block ``p % g`` and
    position ``p // g``. Groups of one block hold the same weights.

    A tile is ``lanes * g`` weight words, the columns of block 0 first; how tiles follow each other
    says :func:`~rtl.tile_control.tile_control`.

    The last ``dsp_columns`` columns of each group are made of multipliers, two columns sharing one
    for each lane (:mod:`rtl.columns.dsp`); they give the same sums. Without them there is no
    multiplier.

    Latency ``config.latency``, throughput 1. Weights and activations have back-pressure, sums have
    none. Cost: ``python -m benchmarks.lane_costs``.

    Parameters
    ----------
    config : ShiftGemmConfig
    family : str, optional
        "xc7" builds the lanes of 7-series primitives.

    Members
    -------
    settings : In(Settings)
        ``last_vector``: words of activations a tile minus one; ``signed``: activations are two's
        complement (their top bit is flipped, which adds ``2**(A - 1)``); ``split``: log2 of g.
    start : In(1)
        A cycle before a run: forgets the loaded tile.
    weights : In(stream of ArrayLayout(weight code, vector_words * lanes))
    activations : In(stream of [groups][vector_words][lanes] codes)
    valid : Out(1)
    sums : Out([groups][lanes] of signed(sum_bits))

    Source: own design after PAPERS A (log-quantized GEMM core); folding the sign is ours.
    """

    Config = ShiftGemmConfig
    Settings = data.StructLayout({"last_vector": 16, "signed": 1, "split": 2})

    def __init__(self, config: ShiftGemmConfig, family: str | None = None) -> None:
        self.config = config
        self.family = family
        c = config
        word = data.ArrayLayout(c.activation_bits, c.lanes)
        vectors = data.ArrayLayout(data.ArrayLayout(word, c.vector_words), c.groups)
        weights = data.ArrayLayout(c.format.bits, c.column_lanes)
        sums = data.ArrayLayout(data.ArrayLayout(signed(c.sum_bits), c.lanes), c.groups)
        super().__init__(
            {
                "settings": In(self.Settings),
                "start": In(1),
                "weights": In(stream.Signature(weights)),
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
    def excess(config: ShiftGemmConfig, weights: np.ndarray) -> np.ndarray:
        """What folding adds to a product, for each of ``weights``; see the contract."""
        return config.plan.excess(weights, config.activation_bits)

    @staticmethod
    def share(config: ShiftGemmConfig, settings: dict[str, int]) -> Share:
        """What belongs to a tile of weights; see the contract."""
        vectors = settings["last_vector"] + 1
        return Share(config.lanes << settings["split"], vectors, vectors)

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
        weights : uint32 [tiles * g * lanes, pieces]
            Weight words: columns of a block, blocks of a tile, tiles.
        activations : int [..., tiles * (last_vector + 1), groups, vector_words, lanes]
            Unsigned codes.

        Returns
        -------
        int64 [..., words, groups, lanes]
            The folded sums, see the class.
        """
        c, blocks, vectors = config, 1 << settings["split"], settings["last_vector"] + 1
        codes = unpack(weights, c.format.bits, c.column_lanes)
        codes = codes.reshape(-1, blocks, c.lanes, c.column_lanes)
        a = np.asarray(activations, np.int64) ^ (settings["signed"] << (c.activation_bits - 1))
        leading = a.shape[:-4]
        a = a.reshape(*leading, len(codes), vectors, c.groups, c.column_lanes)
        groups = [
            Column.model(c.plan, c.activation_bits, codes[:, p % blocks], a[..., p, :])
            for p in range(c.groups)
        ]
        return np.stack(groups, axis=-2).reshape(*leading, -1, c.groups, c.lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        swap, loaded = tile_control(m, self, self.last_word())
        word, load = self.loader(m, loaded)
        vectors = self.operands(m)

        # Each stage of the lanes changes to the next tile a cycle after the stage before it.
        switch = Signal(2)
        m.d.sync += switch.eq(Cat(swap, switch))

        valid = Signal(self.latency)
        accept = self.activations.valid & self.activations.ready
        m.d.sync += valid.eq(Cat(accept, valid))
        m.d.comb += self.valid.eq(valid[-1])

        # Columns enter at the far end, so that in the end column 0 is at 0.
        chains = self.dsp_columns(m, [word] * c.groups, load, switch, vectors)
        for p in range(c.groups):
            for n in reversed(range(c.lanes - c.dsp_columns)):
                column = Column(c.column_lanes, c.plan, c.activation_bits, self.family)
                m.submodules[f"column_{p}_{n}"] = column
                wait = c.column_latency - column.latency
                m.d.comb += [
                    column.word.eq(chains[p]),
                    column.load.eq(load[p]),
                    column.switch.eq(switch),
                    column.vector.eq(vectors[p]),
                    self.sums[p][n].eq(delayed(m, column.sum, wait, f"sum_{p}_{n}")),
                ]
                chains[p] = column.loaded
        return m

    def dsp_columns(
        self, m: Module, chains: list[Value], load: Value, switch: Value, vectors: list[Signal]
    ) -> list[Value]:
        """The last columns of each group, where they are made of multipliers.

        Takes and returns what enters the chain of each group's columns.
        """
        c = self.config
        if not c.dsp_columns:
            return chains
        packing = c.packing
        m.submodules.folding = folding = Folding(packing)
        m.d.comb += folding.word.eq(chains[0])
        later_load = delayed(m, load, packing.folding_delay, "folding_load")
        later_switch = delayed(m, switch[0], packing.folding_delay, "folding_switch")
        after = []
        for p, chain in enumerate(chains):
            foldings = folding.folding
            for n in reversed(range(c.lanes - c.dsp_columns, c.lanes, 2)):
                m.submodules[f"pair_{p}_{n}"] = pair = DspPair(packing)
                wait = c.column_latency - packing.latency
                sums = delayed(m, pair.sums, wait, f"sums_{p}_{n}")
                m.d.comb += [
                    pair.word.eq(chain),
                    pair.load.eq(load[p]),
                    pair.folding.eq(foldings),
                    pair.folding_load.eq(later_load[p]),
                    pair.switch.eq(switch),
                    pair.folding_switch.eq(later_switch),
                    pair.vector.eq(vectors[p]),
                    Cat(self.sums[p][n][: packing.sum_bits]).eq(sums[: packing.sum_bits]),
                    Cat(self.sums[p][n + 1][: packing.sum_bits]).eq(sums[packing.sum_bits :]),
                ]
                chain, foldings = pair.loaded, pair.folding_loaded
            after.append(chain)
        return after

    def last_word(self) -> Value:
        """Number of the last weight word of a tile, ``lanes << split`` less one."""
        split, blocks = self.settings.split, exact_log2(self.config.groups)
        joined = [split > bit for bit in range(blocks)]
        return Cat(Const(~0, exact_log2(self.config.lanes)), *joined)

    def loader(self, m: Module, loaded: Signal) -> tuple[Signal, Signal]:
        """The registered weight word in codes of lanes, and the groups that take it."""
        c, plan = self.config, self.config.plan
        word = Signal(data.ArrayLayout(plan.lane_bits, c.column_lanes), reset_less=True)
        zeros = [code for code, size in enumerate(plan.format.magnitudes) if size == 0]
        for lane in range(c.column_lanes):
            code = self.weights.p[lane]
            sign = code[-1] & ~Cat(code[:-1] == zero for zero in zeros).any()
            joint = Cat(code[bit] for bit in plan.joint).all() if plan.joint else Const(0, 0)
            m.d.sync += word[lane].eq(Cat(code[:-1], sign, joint))
        load = Signal(c.groups)
        accept = self.weights.valid & self.weights.ready
        block = loaded[exact_log2(c.lanes) :]
        # The lowest `split` bits of a group's number are its block.
        mask = ((1 << self.settings.split) - 1)[: exact_log2(c.groups)]
        for p in range(c.groups):
            m.d.sync += load[p].eq(accept & (block == (p & mask)))
        return word, load

    def operands(self, m: Module) -> list[Signal]:
        """The vector of each group, in multiples that the lanes select from."""
        c = self.config
        flip = self.settings.signed << (c.activation_bits - 1)
        layout = data.ArrayLayout(operand_layout(c.plan, c.activation_bits), c.column_lanes)
        vectors = []
        for p in range(c.groups):
            # 1: unsigned codes.
            taken = Signal(data.ArrayLayout(c.activation_bits, c.column_lanes), reset_less=True)
            # 2: multiples, once for all columns of the group.
            vector = Signal(layout, name=f"vector_{p}", reset_less=True)
            for lane in range(c.column_lanes):
                t, n = divmod(lane, c.lanes)
                m.d.sync += taken[lane].eq(self.activations.p[p][t][n] ^ flip)
                m.d.sync += vector[lane].x1.eq(taken[lane])
                if 3 in c.plan.multiples:
                    m.d.sync += vector[lane].x3.eq((taken[lane] + (taken[lane] << 1)) >> 1)
            vectors.append(vector)
        return vectors


ENGINE = ShiftGemm
