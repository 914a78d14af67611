"""Loop nests: address generators that walk affine loops."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa import COORDINATE, COUNT, MAX_PASSES

__all__ = ["LoopNest", "nest_settings", "nest_word"]


def nest_settings(levels: int, address_bits: int, coordinates: bool) -> data.StructLayout:
    """Settings of a nest: where it begins, and each level's last iteration and steps."""
    position = {"row": COORDINATE, "column": COORDINATE} if coordinates else {}
    level = data.StructLayout({"last": COUNT, "step": address_bits, **position})
    return data.StructLayout(
        {"address": address_bits, **position, "levels": data.ArrayLayout(level, levels)}
    )


def nest_word(levels: int, address_bits: int, coordinates: bool) -> data.StructLayout:
    """One step of a nest: the address, and which levels are at their first and last iteration.

    ``index`` is the iteration of level 2 (modulo :data:`~rtl.isa.MAX_PASSES`), 0 if there is none.
    """
    position = {"row": COORDINATE, "column": COORDINATE} if coordinates else {}
    return data.StructLayout(
        {
            "address": address_bits,
            **position,
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

        position = ["address", *(["row", "column"] if self.coordinates else [])]
        following = {name: self.advanced(m, name) for name in position}
        with m.If(take):
            for i in range(self.levels):
                with m.If(below[i]):
                    self.restart_or_count(m, i, remaining[i])
            m.d.sync += [word[name].eq(value) for name, value in following.items()]
            with m.If(below[self.levels]):
                m.d.sync += self.o.valid.eq(0)

        with m.If(self.start):
            m.d.sync += self.o.valid.eq(1)
            m.d.sync += [word[name].eq(self.settings[name]) for name in position]
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

    def advanced(self, m: Module, name: str) -> Value:
        """Address, row or column after the step of the level that advances."""
        word = self.o.payload
        field = "step" if name == "address" else name
        shape = Shape.cast(word[name].shape())
        step = Signal(shape, name=f"{name}_step")
        for i in reversed(range(self.levels)):
            # A later assignment wins: the lowest level that is not at its last iteration.
            with m.If(~word.last[i]):
                m.d.comb += step.eq(self.settings.levels[i][field])
        result = Signal(shape, name=f"next_{name}")
        m.d.comb += result.eq(word[name] + step)
        return result
