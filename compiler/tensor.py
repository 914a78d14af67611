"""A tensor in the feature memory: where it stands, and its codes as words."""

from dataclasses import dataclass

import numpy as np

from compiler.layout import FOLDED, Layout, Unfolding
from quant.graph import Shape
from quant.numbers import Format
from rtl.packing import pack, unpack

__all__ = ["PlacedTensor"]


@dataclass(frozen=True)
class PlacedTensor:
    """A tensor of a program, channels last.

    The word of row y, column x, block b stands at ``address + (y * width + x) * pitch + b``.

    Parameters
    ----------
    name : str
    shape : (channels, height, width)
    format : Format
    address : int
        Word of row 0, column 0, block 0.
    layout : Layout
        Channels in the lanes of the blocks; with an unfolding those of the unfolded tensor.
    pitch : int
        Words from a column to the next: the blocks, or more where the tensor is part of another.
    unfolding : Unfolding
        Rows of the image that a word holds.
    """

    name: str
    shape: Shape
    format: Format
    address: int
    layout: Layout
    pitch: int
    unfolding: Unfolding = FOLDED

    @property
    def stored(self) -> Shape:
        """Channels, rows and columns as they stand in memory, unfolded."""
        return self.unfolding.shape(self.shape)

    @property
    def words(self) -> int:
        """Words from the first to the last one, those between the blocks of two columns too."""
        _, height, width = self.stored
        return (height * width - 1) * self.pitch + self.layout.blocks

    def to_lanes(self, codes: np.ndarray, bits: int) -> np.ndarray:
        """Codes (N, C, H, W), unsigned of ``bits``, in lanes: int64 ``[N, words, lanes]``.

        Lanes that hold no channel, and words of other tensors between the blocks, are 0.
        """
        codes = self.unfolding.unfold(np.asarray(codes, np.int64) & ((1 << bits) - 1))
        positions = codes.shape[2] * codes.shape[3]
        lanes = self.layout.lanes
        slots = np.zeros((len(codes), positions, self.pitch * lanes), np.int64)
        slots[..., self.layout.place] = codes.reshape(len(codes), -1, positions).swapaxes(1, 2)
        return slots.reshape(len(codes), -1, lanes)[:, : self.words]

    def from_lanes(self, words: np.ndarray, bits: int) -> np.ndarray:
        """The inverse of :meth:`to_lanes`: codes (N, C, H, W)."""
        channels, height, width = self.stored
        images, lanes = len(words), self.layout.lanes
        padded = np.zeros((images, height * width * self.pitch, lanes), np.int64)
        padded[:, : self.words] = words
        slots = padded.reshape(images, height * width, -1)[..., self.layout.place]
        if self.format.signed:
            slots = slots - ((slots >> bits - 1) << bits)
        codes = slots.swapaxes(1, 2).reshape(images, channels, height, width)
        return self.unfolding.fold(codes, self.shape)

    def to_words(self, codes: np.ndarray, bits: int) -> np.ndarray:
        """Codes (N, C, H, W) as memory words: uint32 ``[N, words, pieces]``."""
        lanes = self.to_lanes(codes, bits)
        return pack(lanes.reshape(-1, self.layout.lanes), bits).reshape(len(lanes), self.words, -1)

    def from_words(self, words: np.ndarray, bits: int) -> np.ndarray:
        """Memory words uint32 ``[N, words, pieces]`` as codes (N, C, H, W)."""
        flat = unpack(words.reshape(-1, words.shape[-1]), bits, self.layout.lanes)
        return self.from_lanes(flat.reshape(len(words), self.words, -1), bits)
