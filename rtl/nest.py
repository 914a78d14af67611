"""Loop nests: address generators that walk affine loops."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import COORDINATE, COUNT, MAX_PASSES

__all__ = ["LoopNest", "nest_settings", "nest_word"]

GROUP = 3
"""Levels whose last iterations are looked at together."""


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
    while a walk lasts does nothing. Which levels are at their last iteration is kept in registers,
    so a step is a choice of one level's step and one addition.

    Parameters
    ----------
    levels : int
    address_bits : int
    coordinates : bool

    Members
    -------
    settings : In(nest_settings)
        Stable from the cycle before ``start`` to the end of the walk.
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
        walks = self.o.valid
        # Levels come in groups. before[l]: the levels of l's group under l are at their last
        # iteration, whole[g]: so are all of group g. These are registers, so a word that is taken
        # late in its cycle only has to enable others; groups, because otherwise synthesis makes
        # one long chain of them.
        groups = [range(at, min(at + GROUP, self.levels)) for at in range(0, self.levels, GROUP)]
        before = [
            Signal(name=f"before_{i}") if i % GROUP else Const(1, 1) for i in range(self.levels)
        ]
        whole = [Signal(name=f"whole_{group}") for group in range(len(groups))]
        # turn[l]: all levels under l are at their last iteration, so l advances or wraps.
        turn = [Cat(before[i], *whole[: i // GROUP]).all() for i in range(self.levels)]
        # to_come[l]: iterations of l behind the present one, less two. Negative where the next is
        # the last, or the present one.
        to_come = [
            Signal(signed(COUNT.width + 1), name=f"to_come_{i}", reset_less=True)
            for i in range(self.levels)
        ]
        # Settings are stable before the start, so what is known of them may be registered.
        single = Signal(self.levels, reset_less=True)
        m.d.sync += single.eq(Cat(level.last == 0 for level in levels))

        take = Signal()
        m.d.comb += [
            take.eq(walks & self.o.ready),
            self.done.eq(take & Cat(whole).all()),
        ]
        with m.If(self.done):
            m.d.sync += walks.eq(0)
        with m.Elif(self.start):
            m.d.sync += walks.eq(1)

        # Between walks the first word is loaded again and again: a start only makes it valid.
        following_last = Signal(self.levels)
        for i in range(self.levels):
            with m.If(~walks | (turn[i] & word.last[i])):
                m.d.comb += following_last[i].eq(single[i])
            with m.Elif(turn[i]):
                m.d.comb += following_last[i].eq(to_come[i] < 0)
            with m.Else():
                m.d.comb += following_last[i].eq(word.last[i])
        with m.If(take | ~walks):
            m.d.sync += word.last.eq(following_last)
            m.d.sync += [word[name].eq(value) for name, value in self.following(m).items()]
            for at, group in zip(whole, groups):
                m.d.sync += at.eq(following_last[group.start : group.stop].all())
                m.d.sync += [before[i].eq(following_last[group.start : i].all()) for i in group[1:]]
        for i in range(self.levels):
            restart = Signal(name=f"restart_{i}")
            m.d.comb += restart.eq(~walks | word.last[i])
            with m.If((take & turn[i]) | ~walks):
                m.d.sync += [
                    word.first[i].eq(restart),
                    to_come[i].eq(Mux(restart, levels[i].last, to_come[i]) - Mux(restart, 2, 1)),
                ]
                if i == 2:
                    m.d.sync += word.index.eq(Mux(restart, 0, word.index + 1))
        return m

    def following(self, m: Module) -> dict[str, Value]:
        """Address, row and column after the step of the level that advances; at first, the first.

        Between walks a step is what the walk begins with, and is added to 0.
        """
        word = self.o.payload
        result = {}
        for name, shape in positions(self.address_bits, self.coordinates).items():
            field = "step" if name == "address" else name
            step = Signal(shape, name=f"{name}_step")
            for i in reversed(range(self.levels)):
                # A later assignment wins: the lowest level that is not at its last iteration.
                with m.If(~word.last[i]):
                    m.d.comb += step.eq(self.settings.levels[i][field])
            with m.If(~self.o.valid):
                m.d.comb += step.eq(self.settings[name])
            result[name] = Signal(shape, name=f"next_{name}")
            m.d.comb += result[name].eq(Mux(self.o.valid, word[name], 0) + step)
        return result
