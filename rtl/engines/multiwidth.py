"""A square array of processing elements that split: products of 1 x 32, 2 x 16 or 4 x 8 bits."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.engines import Share, require
from rtl.packing import unpack
from rtl.split.column import SplitColumn
from rtl.split.multiply import OPERANDS, WEIGHTS, activation_operands, weight_operands
from rtl.split.parts import FIELD, PARTS, codes_of, part_count
from rtl.tile_control import tile_control

__all__ = ["ENGINE", "Multiwidth", "MultiwidthConfig"]

# Registers in front of the columns: the codes as accepted, and what the multipliers take.
_OPERAND_STAGES = 2


@dataclass(frozen=True)
class MultiwidthConfig:
    """Size of the array.

    Parameters
    ----------
    lanes : int
        N: fields of a feature word; the array has N x N processing elements. 2, 4, 8 or 16.
    place_bits : int
        Bits of a quarter of a field of sums, which is what a sum of 8-bit products has: 24 to 31.
    activation_bits : int
        Bits of a field: 32.
    """

    lanes: int
    place_bits: int
    activation_bits: int

    KEYS: ClassVar[tuple[str, ...]] = ("lanes", "place_bits")
    splits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for key, allowed in (
            ("lanes", (2, 4, 8, 16)),
            ("place_bits", range(24, 32)),
            ("activation_bits", (FIELD,)),
        ):
            require(key, getattr(self, key), allowed)

    @property
    def vector_words(self) -> int:
        """Feature words of a vector."""
        return 1

    @property
    def groups(self) -> int:
        """Vectors of a cycle."""
        return 1

    @property
    def ready(self) -> int:
        """Fewest cycles from a run's first weight word to its first vector: none but the load's."""
        return 0

    @property
    def sum_bits(self) -> int:
        """Width of a field of sums."""
        return PARTS * self.place_bits

    @property
    def weight_bits(self) -> int:
        """Width of a weight word: the fields of one field of outputs."""
        return FIELD * self.lanes

    @property
    def macs_per_cycle(self) -> int:
        """Products made and added in a cycle at 8 bits."""
        return PARTS * self.lanes**2

    @property
    def latency(self) -> int:
        """Cycles from an accepted word of activations to its sums."""
        return _OPERAND_STAGES + SplitColumn.column_latency(self.lanes)

    def to_dict(self) -> dict[str, Any]:
        """The architecture's ``[engine]`` keys."""
        return {key: getattr(self, key) for key in self.KEYS}


class Multiwidth(wiring.Component):
    """``lanes x lanes`` processing elements: one code of each input field times an output field.

    For the vector ``a`` of N codes, one of each field of a feature word, and the loaded tile ``w``
    of ``N x N`` fields of weights, ``sums[o][p] = Σ_i a[i] * w[o][i][p]`` for the
    ``s = 32 / width`` parts p of output field o. So ``N * N * s`` products are made in a cycle, and
    a feature word of ``N * s'`` codes takes ``s'`` vectors. Products are whole; at 32 bits sums
    count modulo ``2**64``.

    A tile is N weight words, output field 0 first. How tiles follow each other says
    :func:`~rtl.tile_control.tile_control`.

    Latency ``config.latency``, throughput 1. Weights and activations have back-pressure, sums have
    none. Cost: three DSP48 an element, see ``docs/multiwidth.md``.

    Parameters
    ----------
    config : MultiwidthConfig
    family : str, optional
        Not used: the array is generic.

    Members
    -------
    settings : In(Settings)
        ``last_vector``: words of activations a tile minus one.
    width : In(2)
        Code of :class:`~rtl.split.parts.Width`; stable as the settings.
    start : In(1)
        A cycle before a run: forgets the loaded tile.
    weights : In(stream of ArrayLayout(32, lanes))
        Fields of s weights in two's complement.
    activations : In(stream of [1][1][lanes] of signed(32))
        Codes, extended.
    valid : Out(1)
    sums : Out([1][lanes] of signed(sum_bits))
        Fields of sums, see :mod:`rtl.split.parts`.

    Source: PAPERS C; broadcasting one code to all parts, and the shell, are ours.
    """

    Config = MultiwidthConfig
    Settings = data.StructLayout({"last_vector": 16})

    def __init__(self, config: MultiwidthConfig, family: str | None = None) -> None:
        self.config = c = config
        word = data.ArrayLayout(signed(FIELD), c.lanes)
        vector = data.ArrayLayout(data.ArrayLayout(word, 1), 1)
        sums = data.ArrayLayout(data.ArrayLayout(signed(c.sum_bits), c.lanes), 1)
        super().__init__(
            {
                "settings": In(self.Settings),
                "width": In(2),
                "start": In(1),
                "weights": In(stream.Signature(data.ArrayLayout(FIELD, c.lanes))),
                "activations": In(stream.Signature(vector)),
                "valid": Out(1),
                "sums": Out(sums),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an accepted word of activations to its sums."""
        return self.config.latency

    @staticmethod
    def share(config: MultiwidthConfig, settings: dict[str, int]) -> Share:
        """What belongs to a tile of weights; see the contract."""
        vectors = settings["last_vector"] + 1
        return Share(config.lanes, vectors, vectors)

    @staticmethod
    def excess(config: MultiwidthConfig, weights: np.ndarray) -> np.ndarray:
        """Products have nothing too much; see the contract."""
        return np.zeros(np.shape(weights), np.int64)

    @staticmethod
    def model(
        config: MultiwidthConfig,
        settings: dict[str, int],
        weights: np.ndarray,
        activations: np.ndarray,
    ) -> np.ndarray:
        """Exact sums of a run, at 32 bits modulo ``2**64``.

        Parameters
        ----------
        config : MultiwidthConfig
        settings : dict
            Fields of :data:`Settings`, and ``width``.
        weights : uint32 [tiles * lanes, lanes]
        activations : int [..., tiles * (last_vector + 1), 1, 1, lanes]
            Signed codes.

        Returns
        -------
        int64 [..., words, 1, lanes * parts], the parts of field 0 first
        """
        lanes, width = config.lanes, settings["width"]
        fields = unpack(weights, FIELD, lanes).reshape(-1, lanes, lanes)
        # [tile, input, output * part]
        tiles = codes_of(fields.swapaxes(1, 2), width, True)
        leading = np.shape(activations)[:-4]
        vectors = np.reshape(activations, (*leading, len(tiles), -1, lanes))
        # Products of at most 17 and 16 bits are exact in float64, which is much the faster.
        kind = np.int64 if part_count(width) == 1 else np.float64
        sums = vectors.astype(kind) @ tiles.astype(kind)
        return sums.astype(np.int64).reshape(*leading, -1, 1, tiles.shape[2])

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        swap, _ = tile_control(m, self, Const(c.lanes - 1, exact_log2(c.lanes)))

        word = Signal(data.ArrayLayout(WEIGHTS, c.lanes), reset_less=True)
        load, switch = Signal(), Signal()
        m.d.sync += [
            load.eq(self.weights.valid & self.weights.ready),
            # With the codes as accepted: a cycle before their operands.
            switch.eq(swap),
        ]
        for lane in range(c.lanes):
            m.d.sync += assigned(word[lane], weight_operands(self.weights.p[lane], self.width))

        taken = Signal(data.ArrayLayout(signed(FIELD), c.lanes), reset_less=True)
        operands = Signal(data.ArrayLayout(OPERANDS, c.lanes), reset_less=True)
        m.d.sync += taken.eq(self.activations.p[0][0])
        for lane in range(c.lanes):
            m.d.sync += assigned(operands[lane], activation_operands(taken[lane], self.width))

        valid = Signal(self.latency)
        accept = self.activations.valid & self.activations.ready
        m.d.sync += valid.eq(Cat(accept, valid))
        m.d.comb += self.valid.eq(valid[-1])

        # Words enter at the last column, so that in the end column 0 has the first.
        chain: Value = word
        for n in reversed(range(c.lanes)):
            m.submodules[f"column_{n}"] = column = SplitColumn(c.lanes, c.place_bits)
            m.d.comb += [
                column.width.eq(self.width),
                column.word.eq(chain),
                column.load.eq(load),
                column.switch.eq(switch),
                column.operands.eq(operands),
                self.sums[0][n].eq(column.o),
            ]
            chain = column.loaded
        return m


def assigned(target: data.View, values: dict[str, Value]) -> list:
    """Statements that set the fields of a structure."""
    return [target[name].eq(value) for name, value in values.items()]


ENGINE = Multiwidth
