"""Loop nests: address generators that walk affine loops."""

import numpy as np
from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import COORDINATE, COUNT, MAX_PASSES

__all__ = ["LoopNest", "nest_settings", "nest_word"]


def positions(address_bits: int, coordinates: bool) -> dict[str, Shape]:
    """What a nest walks: the address, and with ``coordinates`` a row and a column."""
    address = {"address": Shape(address_bits)}
    return address | ({"row": COORDINATE, "column": COORDINATE} if coordinates else {})


def nest_settings(levels: int, address_bits: int, coordinates: bool) -> data.StructLayout:
    """Settings of a nest: where it begins, and each level's last iteration and steps."""
    begin = positions(address_bits, coordinates)
    steps = {"step" if name == "address" else name: shape for name, shape in begin.items()}
    level = data.StructLayout({"last": COUNT, **steps})
    return data.StructLayout({**begin, "levels": data.ArrayLayout(level, levels)})


def nest_word(levels: int, address_bits: int, coordinates: bool) -> data.StructLayout:
    """One step of a nest: the address, and which levels are at their first and last iteration.

    ``index`` is the iteration of level 2 (modulo :data:`~rtl.isa.MAX_PASSES`), 0 if there is none.
    """
    return data.StructLayout(
        {
            **positions(address_bits, coordinates),
            "first": data.ArrayLayout(1, levels),
            "last": data.ArrayLayout(1, levels),
            "index": range(MAX_PASSES),
        }
    )


class LoopNest(wiring.Component):
    """Walks ``levels`` nested loops, level 0 innermost: one address a cycle.

    Level ``l`` repeats ``last[l] + 1`` times. When it advances, the lower levels return to their
    first iteration and ``step[l]`` is added to the address (modulo ``2**address_bits``), and with
    ``coordinates`` its row and column steps to row and column.

    The first word is valid one cycle after ``start``; throughput 1, back-pressure yes. A ``start``
    while a walk lasts begins anew. Whether a level is at its last iteration is kept in a register,
    so a step is a priority choice, a choice of step and one addition.

    Parameters
    ----------
    levels : int
    address_bits : int
    coordinates : bool

    Members
    -------
    settings : In(nest_settings)
        Stable from ``start`` to the end of the walk.
    start : In(1)
    o : Out(stream of nest_word)
    done : Out(1)
        High in the cycle in which the last word is taken.
    """

    latency = 1

    def __init__(self, levels: int, address_bits: int, coordinates: bool = False) -> None:
        self.levels = levels
        self.address_bits = address_bits
        self.coordinates = coordinates
        super().__init__(
            {
                "settings": In(nest_settings(levels, address_bits, coordinates)),
                "start": In(1),
                "o": Out(stream.Signature(nest_word(levels, address_bits, coordinates))),
                "done": Out(1),
            }
        )

    @staticmethod
    def model(settings: dict, address_bits: int) -> dict[str, np.ndarray]:
        """All words of a walk: each field int64 ``[words]``, ``first`` and ``last`` bool
        ``[words, levels]``. ``settings`` are fields of :func:`nest_settings`.

        Before step ``n`` a level of ``k`` iterations, whose lower levels have ``size`` steps
        together, has advanced ``k - 1`` times in each of its ``n // (size * k)`` whole rounds and
        ``n // size % k`` times in the present one.
        """
        shapes = positions(address_bits, "row" in settings)
        counts = [level["last"] + 1 for level in settings["levels"]]
        n = np.arange(np.prod(counts, dtype=np.int64))
        walk = {name: np.full(len(n), settings[name], np.int64) for name in shapes}
        first = np.zeros((len(n), len(counts)), bool)
        last = np.zeros((len(n), len(counts)), bool)
        index = np.zeros(len(n), np.int64)
        size = 1
        for i, (count, level) in enumerate(zip(counts, settings["levels"])):
            iteration = n // size % count
            advances = n // (size * count) * (count - 1) + iteration
            for name in walk:
                walk[name] += advances * level["step" if name == "address" else name]
            first[:, i], last[:, i] = iteration == 0, iteration == count - 1
            if i == 2:
                index = iteration % MAX_PASSES
            size *= count
        for name, shape in shapes.items():
            offset = 1 << shape.width - 1 if shape.signed else 0
            walk[name] = ((walk[name] + offset) & (1 << shape.width) - 1) - offset
        return {**walk, "first": first, "last": last, "index": index}

    def elaborate(self, platform) -> Module:
        m = Module()
        word = self.o.payload
        levels = self.settings.levels
        remaining = [Signal(COUNT, name=f"remaining_{i}") for i in range(self.levels)]
        # below[l]: all levels under l are at their last iteration, so l advances or wraps.
        below = Signal(self.levels + 1)
        m.d.comb += below[0].eq(1)
        for i in range(self.levels):
            m.d.comb += below[i + 1].eq(below[i] & word.last[i])

        take = Signal()
        m.d.comb += [
            take.eq(self.o.valid & self.o.ready),
            self.done.eq(take & below[self.levels]),
        ]

        shapes = positions(self.address_bits, self.coordinates)
        following = {name: self.advanced(m, name, shape) for name, shape in shapes.items()}
        with m.If(take):
            for i in range(self.levels):
                with m.If(below[i]):
                    self.restart_or_count(m, i, remaining[i])
            m.d.sync += [word[name].eq(value) for name, value in following.items()]
            with m.If(below[self.levels]):
                m.d.sync += self.o.valid.eq(0)

        with m.If(self.start):
            m.d.sync += self.o.valid.eq(1)
            m.d.sync += [word[name].eq(self.settings[name]) for name in shapes]
            for i in range(self.levels):
                m.d.sync += [
                    remaining[i].eq(levels[i].last),
                    word.first[i].eq(1),
                    word.last[i].eq(levels[i].last == 0),
                ]
            m.d.sync += word.index.eq(0)
        return m

    def restart_or_count(self, m: Module, i: int, remaining: Signal) -> None:
        """Level ``i`` has its turn: one more iteration, or back to the first."""
        word = self.o.payload
        last = self.settings.levels[i].last
        with m.If(word.last[i]):
            m.d.sync += [remaining.eq(last), word.first[i].eq(1), word.last[i].eq(last == 0)]
        with m.Else():
            m.d.sync += [
                remaining.eq(remaining - 1),
                word.first[i].eq(0),
                word.last[i].eq(remaining == 1),
            ]
        if i == 2:
            m.d.sync += word.index.eq(Mux(word.last[i], 0, word.index + 1))

    def advanced(self, m: Module, name: str, shape: Shape) -> Value:
        """Address, row or column after the step of the level that advances."""
        word = self.o.payload
        field = "step" if name == "address" else name
        step = Signal(shape, name=f"{name}_step")
        for i in reversed(range(self.levels)):
            # A later assignment wins: the lowest level that is not at its last iteration.
            with m.If(~word.last[i]):
                m.d.comb += step.eq(self.settings.levels[i][field])
        result = Signal(shape, name=f"next_{name}")
        m.d.comb += result.eq(word[name] + step)
        return result
