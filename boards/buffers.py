"""Buffers in external memory: where a network's stand there, what they hold, their registers."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from boards.image import Image
from quant.errors import NoMulError
from rtl.dma.registers import BEAT, DMA_REGION, Buffer, BufferRegister, buffer_address
from rtl.packing import pieces
from rtl.registers import REGION_SHIFT

__all__ = ["PAGE", "Buffers", "Memory", "buffer_places"]

PAGE = 4096
"""Bytes to whose multiples buffers begin; a burst never crosses one."""
ADDRESS_BITS = 32


class Memory(Protocol):
    """External memory that host and machine share; offsets and sizes count bytes.

    What was written is in the memory when :meth:`write` returns, and :meth:`read` finds what the
    machine wrote: caches are the memory's own matter.
    """

    base: int
    """Address of its first byte as the machine sees it, a multiple of ``PAGE``."""
    size: int

    def write(self, offset: int, content: np.ndarray) -> None:
        """Put any contiguous array's bytes at an offset, a multiple of a beat's."""

    def read(self, offset: int, count: int) -> np.ndarray:
        """So many bytes: uint8 ``[count]``."""


def buffer_places(image: Image) -> tuple[dict[Buffer, int], int]:
    """Offset of each buffer of an image in its memory, and the bytes that all take."""
    places, end = {}, 0
    for room in image.buffers:
        places[room.buffer] = end
        end += room.size + -room.size % PAGE
    return places, end


class Buffers:
    """The buffers of an image in a memory.

    Parameters
    ----------
    memory : Memory or None
    image : Image
        Of a machine with external memory.

    Errors
    ------
    :class:`NoMulError` where there is no memory, too little, or it stands where the machine's
    addresses do not reach.
    """

    def __init__(self, memory: Memory | None, image: Image) -> None:
        self.image = image
        self.places, size = buffer_places(image)
        if memory is None:
            raise NoMulError(
                f"the network needs {size} bytes of external memory; give the driver a memory"
            )
        if memory.size < size:
            raise NoMulError(
                f"the network needs {size} bytes of external memory, there are {memory.size}; "
                f"reserve more"
            )
        if memory.base % PAGE or memory.base + size > 1 << ADDRESS_BITS:
            raise NoMulError(
                f"external memory at {memory.base:#x}: the machine takes multiples of {PAGE} up to "
                f"{(1 << ADDRESS_BITS) - size:#x}; reserve another"
            )
        self.memory = memory

    def load(self) -> None:
        """Write what the buffers hold before the first start."""
        for room in self.image.buffers:
            if len(room.content):
                content = np.ascontiguousarray(room.content, "<u4")
                self.memory.write(self.places[room.buffer], content)

    def registers(self) -> Iterator[tuple[int, int]]:
        """Addresses of the host bus and what is written there; a buffer's size comes last."""
        for room in self.image.buffers:
            base = self.memory.base + self.places[room.buffer]
            for register, value in (
                (BufferRegister.BASE, base),
                (BufferRegister.SIZE, room.size),
            ):
                yield (DMA_REGION << REGION_SHIFT) + buffer_address(room.buffer, register), value

    def write_features(self, address: int, words: np.ndarray) -> None:
        """Write feature words, given as their pieces ``[words, pieces]``."""
        padded = np.zeros((len(words), self.image.beats * BEAT // 4), "<u4")
        held = min(padded.shape[1], words.shape[1])
        padded[:, :held] = words[:, :held]
        self.memory.write(self.feature_offset(address), padded)

    def read_features(self, address: int, count: int) -> np.ndarray:
        """Feature words: uint32 ``[count, pieces]``."""
        bits = self.image.lanes * self.image.bits
        found = self.memory.read(self.feature_offset(address), count * self.image.beats * BEAT)
        words = np.ascontiguousarray(found).view("<u4").reshape(count, -1)
        padded = np.zeros((count, pieces(bits)), np.uint32)
        held = min(padded.shape[1], words.shape[1])
        padded[:, :held] = words[:, :held]
        return padded

    def feature_offset(self, address: int) -> int:
        """Byte of a feature word in the memory."""
        return self.places[Buffer.FEATURES] + address * self.image.beats * BEAT
