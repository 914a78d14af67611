"""A tensor in the feature memory: where it stands, and its codes as words."""

from dataclasses import dataclass

import numpy as np

from compiler.layout import Layout
from quant.graph import Shape
from quant.numbers import Format
from rtl.packing import pack, unpack

__all__ = ["PlacedTensor"]


@dataclass(frozen=True)
class PlacedTensor:
    """A tensor of a program.

    Parameters
    ----------
    name : str
    shape : (channels, height, width)
    format : Format
    address : int
        Word of block 0, row 0, column 0; bank *b* begins at ``b * feature_words``.
    layout : Layout
    """

    name: str
    shape: Shape
    format: Format
    address: int
    layout: Layout

    @property
    def positions(self) -> int:
        """Words of a block."""
        return self.shape[1] * self.shape[2]

    @property
    def words(self) -> int:
        """Words of all blocks."""
        return self.layout.blocks * self.positions

    def to_lanes(self, codes: np.ndarray, bits: int) -> np.ndarray:
        """Codes (N, C, H, W), unsigned of ``bits``, in lanes: int64 ``[N, words, lanes]``."""
        codes = np.asarray(codes, np.int64)
        slots = np.zeros((len(codes), len(self.layout.slots), self.positions), np.int64)
        slots[:, self.layout.place] = codes.reshape(len(codes), -1, self.positions)
        slots &= (1 << bits) - 1
        blocks = slots.reshape(len(codes), self.layout.blocks, -1, self.positions)
        return blocks.transpose(0, 1, 3, 2).reshape(len(codes), self.words, self.layout.lanes)

    def from_lanes(self, lanes: np.ndarray, bits: int) -> np.ndarray:
        """The inverse of :meth:`to_lanes`: codes (N, C, H, W)."""
        images = len(lanes)
        blocks = np.asarray(lanes, np.int64).reshape(images, self.layout.blocks, self.positions, -1)
        slots = blocks.transpose(0, 1, 3, 2).reshape(images, -1, self.positions)
        codes = slots[:, self.layout.place]
        if self.format.signed:
            codes = codes - ((codes >> bits - 1) << bits)
        return codes.reshape(images, *self.shape)

    def to_words(self, codes: np.ndarray, bits: int) -> np.ndarray:
        """Codes (N, C, H, W) as memory words: uint32 ``[N, words, pieces]``."""
        lanes = self.to_lanes(codes, bits)
        return pack(lanes.reshape(-1, self.layout.lanes), bits).reshape(len(lanes), self.words, -1)

    def from_words(self, words: np.ndarray, bits: int) -> np.ndarray:
        """Memory words uint32 ``[N, words, pieces]`` as codes (N, C, H, W)."""
        flat = unpack(words.reshape(-1, words.shape[-1]), bits, self.layout.lanes)
        return self.from_lanes(flat.reshape(len(words), self.words, -1), bits)
