"""Ways in which a convolver can read what an output position needs, step by step.

In a *sweep* a rectangle of the input, each stride a word, passes by the weights of a tile. From
line buffers, windows of up to k x k taps form along the way, so the sweep is as much larger than
the output as the windows are. Without them, the words of a step are all that a window holds.
"""

from dataclasses import dataclass

import numpy as np

from compiler.mapping import Convolution
from compiler.mapping.reading import NOTHING, InputBlocks, Reading, readings
from compiler.nest import Level

__all__ = ["Sweep", "sweeps"]


@dataclass(frozen=True)
class Sweep:
    """A reading whose "words of a vector" are the taps of an array.

    Parameters
    ----------
    reading : Reading
    lines : bool
        Whether windows come from the line buffers.
    skip_rows, skip_columns : int
        By how much a sweep is larger than the output.
    """

    reading: Reading
    lines: bool
    skip_rows: int
    skip_columns: int


def sweeps(convolution: Convolution, reads: InputBlocks, kernel: int, words: int) -> list[Sweep]:
    """All ways to read a convolution's input on arrays of ``kernel x kernel`` taps, which without
    line buffers take ``words`` words at once."""
    spare = ((0, 0), (0, kernel**2 - words))
    found = []
    for reading in readings(convolution, reads, words):
        blocks = np.pad(reading.blocks, spare, constant_values=NOTHING)
        rows, columns = np.pad(reading.rows, spare), np.pad(reading.columns, spare)
        taps = Reading(reading.word_step, reading.levels, blocks, rows, columns)
        found.append(Sweep(taps, False, 0, 0))
    if convolution.window.kernel != (1, 1) and convolution.window.dilation == (1, 1):
        found.append(line_sweep(convolution, reads, kernel))
    return found


def line_sweep(convolution: Convolution, reads: InputBlocks, kernel: int) -> Sweep:
    """Windows from line buffers.

    Kernel position ``i = phase + stride * (kernel * part + d)`` is tap d of a window on the rows
    (or columns) of its phase: one sweep for each phase, part of a larger kernel and input block.
    """
    tensor, stride = convolution.input, convolution.window.stride
    row_words = tensor.stored[2] * tensor.pitch
    down, across = (axis(*pair, kernel) for pair in zip(convolution.window.kernel, stride))
    levels = (
        Level(reads.count, 1, column=1),
        Level(across.parts, across.step * tensor.pitch, column=across.step * tensor.pitch),
        Level(down.parts, down.step * row_words, row=down.step),
        Level(across.phases, tensor.pitch, column=tensor.pitch),
        Level(down.phases, row_words, row=1),
    )
    # Phase and part of the rows, then of the columns, block, tap row, tap column.
    shape = (down.phases, across.phases, down.parts, across.parts, reads.count, kernel, kernel)
    rows = down.positions.reshape(down.phases, 1, down.parts, 1, 1, kernel, 1)
    columns = across.positions.reshape(1, across.phases, 1, across.parts, 1, 1, kernel)
    blocks = np.arange(reads.count).reshape(-1, 1, 1)
    inside = (rows != NOTHING) & (columns != NOTHING)
    parts = (
        np.broadcast_to(part, shape).reshape(-1, kernel**2)
        for part in (np.where(inside, blocks, NOTHING), rows, columns)
    )
    return Sweep(Reading(1, levels, *parts), True, down.taps - 1, across.taps - 1)


@dataclass(frozen=True)
class Axis:
    """Rows, or columns, of a kernel on an array.

    Parameters
    ----------
    taps : int
        Rows of the array in use, the last ones.
    phases, parts : int
    step : int
        Input rows from a part to the next.
    positions : int64 [phases, parts, rows of the array]
        Row of the kernel; :data:`NOTHING` where there is none.
    """

    taps: int
    phases: int
    parts: int
    step: int
    positions: np.ndarray


def axis(size: int, stride: int, kernel: int) -> Axis:
    """How ``size`` rows of a kernel, ``stride`` apart a phase, go on an array of ``kernel`` rows.

    >>> axis(5, 2, 3).positions.tolist()
    [[[0, 2, 4]], [[1, 3, -1]]]
    """
    phases = min(stride, size)
    longest = -(-size // stride)
    parts, taps = -(-longest // kernel), min(longest, kernel)
    d = np.arange(kernel) - (kernel - taps)
    phase, part = np.arange(phases)[:, None, None], np.arange(parts)[:, None]
    positions = phase + stride * (kernel * part + d)
    inside = (d >= 0) & (positions < size)
    return Axis(taps, phases, parts, stride * kernel, np.where(inside, positions, NOTHING))
