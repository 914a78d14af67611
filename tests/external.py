"""Machines with external memory that tests of several folders share."""

from dataclasses import replace

import numpy as np

from rtl.architecture import Architecture, External, load_architecture
from rtl.dma.registers import BEAT

__all__ = ["BeatMemory", "small_machine"]


class BeatMemory:
    """A :class:`boards.buffers.Memory` whose beats are in a dictionary, as AxiMemory's are."""

    def __init__(self, base: int = 1 << 20, size: int = 1 << 20) -> None:
        self.base = base
        self.size = size
        self.beats: dict[int, int] = {}

    def write(self, offset: int, content: np.ndarray) -> None:
        assert offset % BEAT == 0 and 0 <= offset <= offset + content.nbytes <= self.size
        beats = np.frombuffer(np.ascontiguousarray(content).tobytes(), "<u8").tolist()
        self.beats |= dict(enumerate(beats, (self.base + offset) // BEAT))

    def read(self, offset: int, count: int) -> np.ndarray:
        assert offset % BEAT == count % BEAT == 0 and 0 <= offset <= offset + count <= self.size
        first = (self.base + offset) // BEAT
        beats = [self.beats.get(place, 0) for place in range(first, first + count // BEAT)]
        return np.array(beats, "<u8").view(np.uint8)


def small_machine(**memory: int) -> Architecture:
    """``tiny`` with little memory on chip, and external memory."""
    base = load_architecture("tiny")
    sizes = {
        "feature_words": 256,
        "weight_words": 1024,
        "parameter_words": 64,
        "instruction_words": 128,
    }
    return replace(
        base, memory=replace(base.memory, **sizes | memory), external=External(16, 8, 8, 70, 50)
    )
