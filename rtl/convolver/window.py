"""The k x k activations that arrays work on: line buffers and shift registers of each channel."""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["LineSettings", "Window", "window_layout"]

LineSettings = data.StructLayout({"lines": 1, "last_column": 12, "skip_rows": 4, "skip_columns": 4})
"""``lines``: whether windows come from the line buffers; ``last_column``: words of a row minus one;
``skip_rows`` and ``skip_columns``: rows of a tile and words of a row that end no window."""


def window_layout(channels: int, size: int, bits: int) -> data.ArrayLayout:
    """Activations of ``size * size`` taps, row by row, of each channel."""
    return data.ArrayLayout(data.ArrayLayout(bits, size**2), channels)


class Window(wiring.Component):
    """Windows of ``size x size`` taps of every channel, one for each word that ends one.

    With ``lines`` set, word 0 of the input is the next pixel of a map that comes row by row. Tap
    ``(i, j)`` of the window that pixel ``(y, x)`` ends is pixel
    ``(y - (size - 1 - i), x - (size - 1 - j))``: rows before the last come from line buffers, the
    columns before from registers. Words of the first ``skip_rows`` rows and the first
    ``skip_columns`` of each row end no window. Rows and columns before the first may show anything;
    with fewer than ``size - 1`` skipped, taps that would see them have no weight.

    Without ``lines``, tap t of the window is word t of the input, 0 where there is none, and with
    both skips and ``last_column`` 0 every word ends a window.

    Latency 2, throughput 1, neither provides nor respects back-pressure. Cost: ``size - 1`` lines
    of ``depth`` words in one memory, and registers for ``size**2`` taps a channel.

    Parameters
    ----------
    channels, size, bits : int
        Channels of a word, rows of a window, width of an activation.
    words : int
        Words of the input, at most ``size**2``.
    depth : int
        Words of a line buffer. A row has 2 to ``depth`` words.

    Members
    -------
    settings : In(LineSettings)
    start : In(1)
        Before the first word of a run: that begins a row.
    accept : In(1)
    first : In(1)
        The accepted word is the first of a tile.
    words : In(words x channels x bits)
    ends : Out(1)
        Two cycles after a word that ends a window, with that window.
    window : Out(window_layout)

    Source: PAPERS D, the row FIFOs of an array. The newest row needs none, and the arrays of all
    output channels share those of a channel.
    """

    latency = 2

    def __init__(self, channels: int, size: int, bits: int, words: int, depth: int) -> None:
        self.channels = channels
        self.size = size
        self.bits = bits
        self.depth = depth
        word = data.ArrayLayout(bits, channels)
        super().__init__(
            {
                "settings": In(LineSettings),
                "start": In(1),
                "accept": In(1),
                "first": In(1),
                "words": In(data.ArrayLayout(word, words)),
                "ends": Out(1),
                "window": Out(window_layout(channels, size, bits)),
            }
        )

    @staticmethod
    def model(size: int, settings: dict[str, int], words: np.ndarray) -> np.ndarray:
        """Windows of the words of some tiles: int64 ``[..., windows, channels, size * size]``.

        What comes before the first row or column is 0.

        Parameters
        ----------
        size : int
        settings : dict
            Fields of :data:`LineSettings`.
        words : int [..., vectors, words, channels]
        """
        words = np.asarray(words, np.int64)
        if not settings["lines"]:
            missing = size**2 - words.shape[-2]
            spare = [(0, 0)] * (words.ndim - 2) + [(0, missing), (0, 0)]
            return np.pad(words, spare).swapaxes(-1, -2)
        columns, before = settings["last_column"] + 1, size - 1
        pixels = words[..., 0, :].reshape(*words.shape[:-3], -1, columns, words.shape[-1])
        around = [(before, 0), (before, 0), (0, 0)]
        pixels = np.pad(pixels, [(0, 0)] * (pixels.ndim - 3) + around)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (size, size), axis=(-3, -2))
        windows = windows[..., settings["skip_rows"] :, settings["skip_columns"] :, :, :, :]
        shape = (*words.shape[:-3], -1, words.shape[-1], size**2)
        return windows.reshape(shape)

    def elaborate(self, platform) -> Module:
        m = Module()
        size, settings = self.size, self.settings
        word_bits = self.channels * self.bits

        # Where the accepted word stands, and whether it ends a window.
        column = Signal(range(self.depth))
        rows = Signal(range(size))
        seen = Signal.like(rows)
        last = Signal()
        m.d.comb += [
            seen.eq(Mux(self.first, 0, rows)),
            last.eq(column == settings.last_column),
        ]
        with m.If(self.accept):
            m.d.sync += column.eq(Mux(last, 0, column + 1))
            # Rows beyond those that are skipped need not be counted.
            m.d.sync += rows.eq(seen + (last & (seen != settings.skip_rows)))
        with m.If(self.start):
            m.d.sync += column.eq(0)

        # Stage 1: the word as accepted, and what the line buffers have of its column.
        taken = Signal(self.words.shape(), reset_less=True)
        place = Signal.like(column, reset_less=True)
        valid, ends = Signal(), Signal()
        m.d.sync += [
            taken.eq(self.words),
            place.eq(column),
            valid.eq(self.accept),
            ends.eq(self.accept & (seen == settings.skip_rows) & (column >= settings.skip_columns)),
        ]
        m.submodules.lines = lines = memory.Memory(
            shape=unsigned((size - 1) * word_bits), depth=self.depth, init=[]
        )
        read, write = lines.read_port(), lines.write_port()
        # The oldest row first; each becomes the row before, and the word is the newest.
        newest = Value.cast(taken[0])
        m.d.comb += [
            read.en.eq(self.accept),
            read.addr.eq(column),
            write.en.eq(valid & settings.lines),
            write.addr.eq(place),
            write.data.eq(Cat(read.data[word_bits:], newest)),
        ]

        # Stage 2: the window moves on by a column, or is all new.
        m.d.sync += self.ends.eq(ends)
        rows_of_column = data.ArrayLayout(self.words.shape().elem_shape, size)
        incoming = data.View(rows_of_column, Cat(read.data, newest))
        for c in range(self.channels):
            taps = self.window[c]
            for i in range(size):
                for j in range(size):
                    t = i * size + j
                    tap = taps[t]
                    right = taps[t + 1] if j + 1 < size else incoming[i][c]
                    direct = taken[t][c] if t < self.words.shape().length else 0
                    with m.If(~settings.lines):
                        m.d.sync += tap.eq(direct)
                    with m.Elif(valid):
                        m.d.sync += tap.eq(right)
        return m
