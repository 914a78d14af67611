"""Ways to read the inputs of an output position in vectors of several feature words.

A *reading* orders what one block of outputs at one position needs (kernel rows, kernel columns and
input blocks) as reduction steps of one vector each, and says which of it every word of a vector
holds. The steps are affine loops, so that a machine can walk them.
"""

from dataclasses import dataclass

import numpy as np

from compiler.mapping import Convolution
from compiler.nest import Level

__all__ = ["NOTHING", "InputBlocks", "Reading", "readings"]

NOTHING = -1
"""Marks a word of a vector whose weights are all 0."""

Span = tuple[int, int]


@dataclass(frozen=True)
class InputBlocks:
    """Input blocks that blocks of outputs read: ``count`` from
    ``first + block // repeat * stride`` on.

    Where several blocks of outputs are made of the same vectors, ``block`` counts groups of them.
    """

    first: int
    stride: int
    count: int
    repeat: int = 1

    def start(self, block: int) -> int:
        """The first input block that a block of outputs, or a group, reads."""
        return self.first + block // self.repeat * self.stride

    @classmethod
    def of(cls, convolution: Convolution) -> "InputBlocks":
        """The fewest blocks a block of outputs that an affine rule can name."""
        return cls.fewest(output_spans(convolution), convolution.input.layout.blocks)

    @classmethod
    def of_groups(cls, convolution: Convolution, split: int) -> "InputBlocks":
        """The same for groups of ``split`` blocks of outputs, of which some may read alike."""
        each = output_spans(convolution)
        groups = [each[b : b + split] for b in range(0, len(each), split)]
        spans = [(min(low for low, _ in g), max(high for _, high in g)) for g in groups]
        total = convolution.input.layout.blocks
        repeats = [n for n in range(1, len(spans) + 1) if len(spans) % n == 0]
        return min((cls.fewest(spans, total, n) for n in repeats), key=lambda reads: reads.count)

    @classmethod
    def fewest(cls, spans: list[Span], total: int, repeat: int = 1) -> "InputBlocks":
        """The fewest blocks that hold all spans, of ``total`` that there are."""
        low, high = np.array(spans).T
        held = low <= high
        low, high, places = low[held], high[held], np.arange(len(spans))[held] // repeat
        strides = np.arange(-total, total + 1)
        moved = strides[:, None] * places
        for count in range(int((high - low).max()) + 1, total):
            least = (np.maximum(high - count + 1, 0) - moved).max(axis=1)
            fits = least <= (np.minimum(low, total - count) - moved).min(axis=1)
            if fits.any():
                found = int(fits.argmax())
                return cls(int(least[found]), int(strides[found]), count, repeat)
        return cls(0, 0, total)


def output_spans(convolution: Convolution) -> list[Span]:
    """First and last input block whose channels each block of outputs depends on.

    Of a block without channels the first is behind the last.
    """
    source, target = convolution.input.layout, convolution.output.layout
    outputs, group_inputs = convolution.weight.shape[:2]
    # First and last block of the inputs of each group, then of those of a block's channels.
    read = (source.place // source.lanes).reshape(-1, group_inputs)
    low, high = read.min(axis=1), read.max(axis=1)
    slots = np.array(target.slots)
    group = slots // (outputs // convolution.groups)
    held = slots >= 0
    low = np.where(held, low[group], source.blocks).reshape(-1, target.lanes).min(axis=1)
    high = np.where(held, high[group], -1).reshape(-1, target.lanes).max(axis=1)
    return list(zip(low.tolist(), high.tolist()))


@dataclass(frozen=True)
class Reading:
    """Vectors of one output position.

    Parameters
    ----------
    word_step : int
        From a word of a vector to the next.
    levels : tuple of Level
        Loops over the reduction steps, innermost first.
    blocks, rows, columns : int [steps, vector words]
        What a word holds: the block, counted among those read, at a kernel position.
        :data:`NOTHING` as block where it is none of them.
    """

    word_step: int
    levels: tuple[Level, ...]
    blocks: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @property
    def steps(self) -> int:
        """Reduction steps."""
        return len(self.blocks)

    @property
    def alike(self) -> bool:
        """Whether all steps hold the same blocks: one tile does for weights without positions."""
        return bool((self.blocks == self.blocks[0]).all())


def readings(convolution: Convolution, reads: InputBlocks, words: int) -> list[Reading]:
    """All ways to read a convolution's input in vectors of ``words`` words.

    * A run: the words of a kernel row one after another, those of blocks not read included.
    * Tap by tap: the blocks of one kernel position one after another.
    * By columns: words of neighbouring kernel columns, block by block; where the pitch lets them
      stand in different banks.
    """
    tensor, window = convolution.input, convolution.window
    kernel_rows, kernel_columns = window.kernel
    tap = window.dilation[1] * tensor.pitch
    row_stride = window.dilation[0] * tensor.stored[2] * tensor.pitch
    down = Level(kernel_rows, row_stride, row=window.dilation[0])
    result = []
    levels: tuple[Level, ...]
    if window.dilation[1] == 1 or kernel_columns == 1:
        length = (kernel_columns - 1) * tap + reads.count
        vectors = -(-length // words)
        word = np.arange(vectors * words).reshape(vectors, words)
        column, block = np.divmod(word, tensor.pitch) if kernel_columns > 1 else (0 * word, word)
        block = np.where((block < reads.count) & (column < kernel_columns), block, NOTHING)
        levels = Level(vectors, words, column=words), down
        result.append(reading(1, levels, block[None], column[None], kernel_rows))
    if kernel_columns > 1:
        vectors = -(-reads.count // words)
        word = np.arange(vectors * words).reshape(vectors, words)
        block = np.where(word < reads.count, word, NOTHING)[None]
        column = np.arange(kernel_columns)[:, None, None]
        levels = Level(vectors, words, column=words), Level(kernel_columns, tap, column=tap), down
        result.append(reading(1, levels, block, column, kernel_rows))
    if kernel_columns > 1 and words > 1 and tap % 2:
        vectors = -(-kernel_columns // words)
        column = np.arange(vectors * words).reshape(1, vectors, words)
        block = np.arange(reads.count)[:, None, None]
        block = np.where(column < kernel_columns, block, NOTHING)
        across = Level(vectors, words * tap, column=words * tap)
        levels = across, Level(reads.count, 1, column=1), down
        result.append(reading(tap, levels, block, column, kernel_rows))
    return result


def reading(
    word_step: int, levels: tuple[Level, ...], block: np.ndarray, column: np.ndarray, rows: int
) -> Reading:
    """A reading of ``rows`` kernel rows, each of the words ``[..., vectors, words]``."""
    shape = (rows, *np.broadcast_shapes(block.shape, column.shape))
    row = np.arange(rows).reshape(-1, 1, 1, 1)
    words = shape[-1]
    parts = (np.broadcast_to(part, shape).reshape(-1, words) for part in (block, row, column))
    return Reading(word_step, levels, *parts)
