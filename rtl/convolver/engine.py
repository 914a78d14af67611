"""The convolver as an engine: windows, and the arrays of all output channels."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.convolver.window import LineSettings, Window
from rtl.engines import Share, require
from rtl.packing import unpack
from rtl.tile_control import tile_control

__all__ = ["Convolver", "ConvolverConfig"]


@dataclass(frozen=True)
class ConvolverConfig(ABC):
    """Size of the arrays and format of their weights.

    Parameters
    ----------
    lanes : int
        N: codes of a feature word, and input channels of a pass (Pn); a power of two, 4 to 64.
    vector_words : int
        T: feature words of a group's vector, 1 to 4.
    groups : int
        P: 1, 2 or 4. A pass makes ``P * N`` output channels (Pm).
    kernel : int
        k: rows and columns of an array: 3, 5, 7 or 11.
    line_words : int
        Words of a line buffer, 16 to 4096: the longest row of a map, padding included.
    weights : str
        Weight format, one of :attr:`FORMATS`.
    activation_bits : int
        A, width of an activation, 2 to 16.

    Subclasses have the processing elements of an engine.
    """

    lanes: int
    vector_words: int
    groups: int
    kernel: int
    line_words: int
    weights: str
    activation_bits: int

    KEYS: ClassVar[tuple[str, ...]] = (
        "lanes",
        "vector_words",
        "groups",
        "kernel",
        "line_words",
        "weights",
    )
    splits: ClassVar[bool] = False
    FORMATS: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for key, allowed in (
            ("lanes", (4, 8, 16, 32, 64)),
            ("vector_words", (1, 2, 3, 4)),
            ("groups", (1, 2, 4)),
            ("kernel", (3, 5, 7, 11)),
            ("line_words", range(16, 4097)),
            ("weights", self.FORMATS),
            ("activation_bits", range(2, 17)),
        ):
            require(key, getattr(self, key), allowed)

    @property
    def taps(self) -> int:
        """Processing elements of an array."""
        return self.kernel**2

    @property
    def words(self) -> int:
        """Feature words that windows without line buffers take at once."""
        return min(self.taps, self.groups * self.vector_words)

    @property
    def outputs(self) -> int:
        """Output channels of a pass."""
        return self.lanes * self.groups

    @property
    def operands(self) -> int:
        """Processing elements that work for an output channel."""
        return self.lanes * self.taps

    @property
    def weight_bits(self) -> int:
        """Width of a weight word: the codes of an output channel."""
        return self.operands * self.code_bits

    @property
    def macs_per_cycle(self) -> int:
        """Products made and added in a cycle."""
        return self.outputs * self.operands

    @property
    def latency(self) -> int:
        """Cycles from an accepted word of activations to its sums."""
        return Window.latency + self.arrays_latency

    def to_dict(self) -> dict[str, Any]:
        """The architecture's ``[engine]`` keys."""
        return {key: getattr(self, key) for key in self.KEYS}

    @property
    @abstractmethod
    def code_bits(self) -> int:
        """Width of a weight's code in a weight word."""

    @property
    @abstractmethod
    def sum_bits(self) -> int:
        """Width of a signed sum."""

    @property
    @abstractmethod
    def arrays_latency(self) -> int:
        """Cycles from a window to its sums."""

    @abstractmethod
    def arrays(self, family: str | None) -> wiring.Component:
        """The arrays of an output channel, as :class:`~rtl.convolver.shift.ShiftArrays`."""

    @abstractmethod
    def array_code(self, code: Value) -> Value:
        """A weight's code as the arrays take it."""

    @abstractmethod
    def encode(self, weights: np.ndarray) -> np.ndarray:
        """Codes of integer weights. Errors: ``ValueError`` for a weight that has none."""

    @abstractmethod
    def model(self, codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Exact sums int64 ``[..., windows, outputs]`` of weights ``[..., outputs, operands]``,
        given by their codes, and unsigned activations ``[..., windows, operands]``."""

    @abstractmethod
    def excess(self, weights: np.ndarray) -> np.ndarray:
        """What a product with each of the integer weights has too much: int64."""


class Convolver(wiring.Component):
    """``groups * lanes`` output channels, each with an array for every one of ``lanes`` inputs.

    ``sums[p][n] = Σ_c Σ_t product(window[c][t], w[p * lanes + n][c][t])`` for every word that ends
    a window; see :class:`~rtl.convolver.window.Window`, to which the words of group 0, 1 .. go one
    after another. All outputs share the windows. What a product has more than
    ``activation * weight`` is :meth:`excess`; where activations are signed, their top bit is
    flipped and ``2**(A - 1) * Σ w`` comes on top. The compiler takes both off the bias.

    A tile is ``groups * lanes`` weight words, output channel 0 first, each with the taps of input
    channel 0 first. How tiles follow each other says :func:`~rtl.tile_control.tile_control`. A tile
    begins a map, or a part of one; its words are whole rows.

    Latency ``config.latency``, throughput 1. Weights and activations have back-pressure, sums have
    none. Cost: ``python -m benchmarks.svpe``.

    Parameters
    ----------
    config : ConvolverConfig
    family : str, optional
        FPGA family whose primitives the arrays may use.

    Members
    -------
    settings : In(Settings)
        ``last_vector``: words of activations a tile minus one; ``signed``: activations are two's
        complement; the rest is :data:`~rtl.convolver.window.LineSettings`.
    start : In(1)
        A cycle before a run: forgets the loaded tile.
    weights : In(stream of ArrayLayout(code, operands))
    activations : In(stream of [groups][vector_words][lanes] codes)
    valid : Out(1)
    sums : Out([groups][lanes] of signed(sum_bits))

    Source: PAPERS D, arrays in parallel over input and output channels.
    """

    Settings = data.StructLayout(
        {
            "last_vector": 16,
            "signed": 1,
            **{name: field.shape for name, field in LineSettings},
        }
    )

    def __init__(self, config: ConvolverConfig, family: str | None = None) -> None:
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
                "weights": In(stream.Signature(data.ArrayLayout(c.code_bits, c.operands))),
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
    def share(config: ConvolverConfig, settings: dict[str, int]) -> Share:
        """What belongs to a tile of weights; see the contract."""
        vectors, columns = settings["last_vector"] + 1, settings["last_column"] + 1
        rows, rest = divmod(vectors, columns)
        if rest:
            raise ValueError("a tile of weights serves no whole rows")
        if settings["lines"] and not 2 <= columns <= config.line_words:
            raise ValueError(f"rows of {columns} words, lines have 2 to {config.line_words}")
        ends = max(rows - settings["skip_rows"], 0) * max(columns - settings["skip_columns"], 0)
        return Share(config.outputs, vectors, ends)

    @staticmethod
    def excess(config: ConvolverConfig, weights: np.ndarray) -> np.ndarray:
        """What a product has too much, for each of ``weights``; see the contract."""
        return config.excess(np.asarray(weights, np.int64))

    @staticmethod
    def model(
        config: ConvolverConfig,
        settings: dict[str, int],
        weights: np.ndarray,
        activations: np.ndarray,
    ) -> np.ndarray:
        """Exact sums of a run.

        Parameters
        ----------
        config : ConvolverConfig
        settings : dict
            Fields of :data:`Settings`.
        weights : uint32 [tiles * outputs, pieces]
        activations : int [..., tiles * (last_vector + 1), groups, vector_words, lanes]
            Unsigned codes.

        Returns
        -------
        int64 [..., words of sums, groups, lanes]
        """
        c = config
        codes = unpack(weights, c.code_bits, c.operands).reshape(-1, c.outputs, c.operands)
        a = np.asarray(activations, np.int64) ^ (settings["signed"] << c.activation_bits - 1)
        leading = a.shape[:-4]
        a = a.reshape(*leading, len(codes), settings["last_vector"] + 1, -1, c.lanes)
        windows = Window.model(c.kernel, settings, a[..., : c.words, :])
        windows = windows.reshape(*windows.shape[:-2], c.operands)
        return c.model(codes, windows).reshape(*leading, -1, c.groups, c.lanes)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        swap, _ = tile_control(m, self, Const(c.outputs - 1))
        word, load = self.loader(m)

        m.submodules.window = window = Window(
            c.lanes, c.kernel, c.activation_bits, c.words, c.line_words
        )
        flip = self.settings.signed << (c.activation_bits - 1)
        m.d.comb += [
            window.start.eq(self.start),
            window.accept.eq(self.activations.valid & self.activations.ready),
            window.first.eq(swap),
            *(window.settings[name].eq(self.settings[name]) for name, _ in LineSettings),
        ]
        for u in range(c.words):
            p, t = divmod(u, c.vector_words)
            for n in range(c.lanes):
                m.d.comb += window.words[u][n].eq(self.activations.p[p][t][n] ^ flip)

        # Each stage of the elements changes to the next tile a cycle after the stage before it.
        switch = Signal(2)
        m.d.sync += switch.eq(Cat(swap, switch))
        valid = Signal(c.arrays_latency)
        m.d.sync += valid.eq(Cat(window.ends, valid))
        m.d.comb += self.valid.eq(valid[-1])

        # Weights enter at the last output, so that in the end output 0 has the first word.
        for output in reversed(range(c.outputs)):
            arrays = c.arrays(self.family)
            m.submodules[f"output_{output}"] = arrays
            m.d.comb += [
                arrays.word.eq(word),
                arrays.load.eq(load),
                arrays.switch.eq(switch),
                arrays.window.eq(window.window),
                self.sums[output // c.lanes][output % c.lanes].eq(arrays.sum),
            ]
            word = arrays.loaded
        return m

    def loader(self, m: Module) -> tuple[Value, Signal]:
        """The registered weight word in codes of the arrays, and whether it is a new one."""
        codes = [self.config.array_code(code) for code in self.weights.p]
        word = Signal(sum(len(code) for code in codes), reset_less=True)
        load = Signal()
        m.d.sync += [word.eq(Cat(codes)), load.eq(self.weights.valid & self.weights.ready)]
        return word, load
