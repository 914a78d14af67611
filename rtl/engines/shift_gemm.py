"""Shift-add matrix multiplication: an array of dot-product columns with stationary weights."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth.lib import data

from quant.weight_formats import FORMATS, WeightFormat, weight_format
from rtl.packing import unpack

__all__ = ["ENGINE", "ShiftGemm", "ShiftGemmConfig"]


@dataclass(frozen=True)
class ShiftGemmConfig:
    """Size of the array: ``groups`` times ``lanes`` columns of ``lanes * vector_words`` lanes."""

    lanes: int
    vector_words: int
    groups: int
    weights: str
    dsp_columns: int
    activation_bits: int

    KEYS: ClassVar[tuple[str, ...]] = ("lanes", "vector_words", "groups", "weights", "dsp_columns")

    def __post_init__(self) -> None:
        for key in ("lanes", "vector_words", "groups", "dsp_columns", "activation_bits"):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{key} = {value!r} must be a whole number")
        if self.lanes not in (4, 8, 16, 32, 64):
            raise ValueError(f"lanes = {self.lanes}: allowed are 4, 8, 16, 32, 64")
        if not 1 <= self.vector_words <= 4:
            raise ValueError(f"vector_words = {self.vector_words}: allowed is 1 to 4")
        if self.groups not in (1, 2, 4):
            raise ValueError(f"groups = {self.groups}: allowed are 1, 2, 4")
        if self.weights not in FORMATS:
            raise ValueError(f"weights = {self.weights!r}: allowed are {', '.join(FORMATS)}")

    @property
    def format(self) -> WeightFormat:
        """The format of the weights."""
        return weight_format(self.weights)

    @property
    def column_lanes(self) -> int:
        """Lanes of a column."""
        return self.lanes * self.vector_words

    @property
    def weight_bits(self) -> int:
        """Width of a weight word: the codes of one column."""
        return self.column_lanes * self.format.bits

    @property
    def sum_bits(self) -> int:
        """Width of a signed sum of a column."""
        largest = int(self.format.levels[-1]) * ((1 << self.activation_bits) - 1)
        return (largest * self.column_lanes).bit_length() + 1

    @property
    def macs_per_cycle(self) -> int:
        """Weights multiplied and added in a cycle."""
        return self.column_lanes * self.lanes * self.groups

    @property
    def latency(self) -> int:
        """Cycles from an accepted vector to its sums."""
        return 8

    def to_dict(self) -> dict:
        """The architecture's ``[engine]`` keys."""
        return {key: getattr(self, key) for key in self.KEYS}


class ShiftGemm:
    """The array's exact model."""

    Config = ShiftGemmConfig
    Settings = data.StructLayout({"last_vector": 16, "signed": 1, "split": 2})

    @staticmethod
    def excess(config: ShiftGemmConfig, weights: np.ndarray) -> np.ndarray:
        """What a lane's folded product of an integer weight has too much: int64, elementwise."""
        weights = np.asarray(weights, np.int64)
        return np.maximum(-weights, 0) * ((1 << config.activation_bits) - 1)

    @classmethod
    def model(
        cls,
        config: ShiftGemmConfig,
        settings: dict[str, int],
        weights: np.ndarray,
        activations: np.ndarray,
    ) -> np.ndarray:
        """Exact sums: activations [..., words, P, T, N] to int64 [..., words, P, N]."""
        lanes, split = config.lanes, 1 << settings["split"]
        vectors = settings["last_vector"] + 1
        codes = unpack(weights, config.format.bits, config.column_lanes)
        tiles = config.format.decode(codes).reshape(-1, split, lanes, config.column_lanes)
        flip = settings["signed"] << config.activation_bits - 1
        a = np.asarray(activations) ^ flip
        *images, words, groups = a.shape[:-2]
        a = a.reshape(*images, len(tiles), vectors, groups, config.column_lanes)
        excess = cls.excess(config, tiles).sum(axis=-1)
        sums = np.empty((*a.shape[:-1], lanes), np.int64)
        for group in range(groups):
            w = tiles[:, group % split]
            product = a[..., group, :].astype(np.float64) @ w.swapaxes(-1, -2).astype(np.float64)
            sums[..., group, :] = product
            sums[..., group, :] += excess[:, group % split][:, None, :]
        return sums.reshape(*images, words, groups, lanes)


ENGINE = ShiftGemm
