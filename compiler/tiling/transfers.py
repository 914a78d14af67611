"""Boxes of tensors and chunks as transfers between external memory and the machine's."""

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.prepare import Prepared
from compiler.tiling.tasks import Operand
from rtl.architecture import Architecture
from rtl.dma.registers import BEAT, Buffer
from rtl.isa import COUNT
from rtl.registers import Region

__all__ = ["ExternalMap", "Transfer", "halves", "word_beats"]

LARGEST = (1 << COUNT.width) - 1


@dataclass(frozen=True)
class Transfer:
    """``rows`` rows of ``words`` words, see :mod:`rtl.dma.transfer`.

    Row *r* begins at beat ``offset + r * memory_stride`` of the buffer and at word ``address + r *
    address_stride`` of the region.
    """

    store: bool
    region: Region
    buffer: int
    offset: int
    address: int
    words: int
    rows: int = 1
    memory_stride: int = 0
    address_stride: int = 0


def word_beats(bits: int) -> int:
    """Beats of a word in external memory."""
    return -(-bits // (8 * BEAT))


@dataclass(frozen=True)
class ExternalMap:
    """Where tensors stand in the buffer of features, channels last.

    Parameters
    ----------
    prepared : Prepared
    first : dict of name to int
        First word of each tensor that is no part of another.
    words : int
        Of all.
    beats : int
        Of a word.
    """

    prepared: Prepared
    first: dict[str, int]
    words: int
    beats: int

    @classmethod
    def of(cls, prepared: Prepared, architecture: Architecture) -> "ExternalMap":
        """All tensors one after another: none takes the place of another."""
        first, words = {}, 0
        for buffer in prepared.buffers():
            first[buffer.name] = words
            words += buffer.words
        bits = architecture.lanes * architecture.activation_bits
        return cls(prepared, first, words, word_beats(bits))

    def place(self, name: str) -> tuple[str, int, int, int]:
        """Buffer, first word, words from a column to the next, and columns of a tensor."""
        buffer, block = self.prepared.resolve(name)
        tensor = self.prepared.tensors[name]
        width = tensor.unfolding.shape(tensor.shape)[2]
        return buffer, self.first[buffer] + block, self.prepared.pitch(buffer), width

    def transfers(self, operand: Operand, address: int, store: bool) -> Iterator[Transfer]:
        """A box between its place in external memory and an address."""
        _, first, pitch, width = self.place(operand.tensor.name)
        box = operand.box
        start = first + (box.row * width + box.column) * pitch + box.block
        whole = operand.pitch == pitch and box.column_step == 1
        # Words of a run, runs of a row of the map, and how far apart runs stand on either side.
        words = (box.columns - 1) * pitch + box.blocks if whole else box.blocks
        runs = 1 if whole else box.columns
        outside = box.row_step * width * pitch if whole else box.column_step * pitch
        inside = box.columns * pitch if whole else operand.pitch
        common = store, Region.FEATURES, Buffer.FEATURES
        following = box.row_step * width == box.column_step * box.columns
        if whole and following and box.row_step == 1 and box.rows * inside <= LARGEST:
            words, rows = (box.rows * width - 1) * pitch + box.blocks, 1
        elif whole or following:
            rows = box.rows * runs
        else:
            for row in range(box.rows):
                yield Transfer(
                    *common,
                    (start + row * box.row_step * width * pitch) * self.beats,
                    address + row * box.columns * operand.pitch,
                    words,
                    runs,
                    outside * self.beats,
                    inside,
                )
            return
        yield Transfer(
            *common,
            start * self.beats,
            address,
            words,
            rows,
            outside * self.beats if rows > 1 else 0,
            inside if rows > 1 else 0,
        )


def halves(transfer: Transfer, beats: int) -> tuple[Transfer, ...]:
    """A transfer as two of nearly the same size, or as it is where it is small.

    ``beats`` are those of a word.
    """
    move = transfer.__dict__
    if transfer.rows > 1:
        upper = transfer.rows // 2
        return (
            Transfer(**move | {"rows": upper}),
            Transfer(
                **move
                | {
                    "rows": transfer.rows - upper,
                    "offset": transfer.offset + upper * transfer.memory_stride,
                    "address": transfer.address + upper * transfer.address_stride,
                }
            ),
        )
    if transfer.words < SMALL:
        return (transfer,)
    first = transfer.words // 2
    return (
        Transfer(**move | {"words": first}),
        Transfer(
            **move
            | {
                "words": transfer.words - first,
                "offset": transfer.offset + first * beats,
                "address": transfer.address + first,
            }
        ),
    )


SMALL = 32
"""Words that are not worth two transfers."""
