"""Selectors and adders of a lane in 7-series primitives: LUT6_2, MUXF7 and CARRY4.

A LUT6_2 is two functions of the same five inputs, or one of six. Yosys neither shares one between
two functions nor adds three values on one carry chain; together that is a third of a lane.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value

from rtl.arithmetic import plain_adder
from rtl.columns.selection import Select

__all__ = ["adder", "pairing", "select", "table"]

_INPUTS = 6
# Two functions share a LUT6_2 if together they have no more inputs than that.
_SHARED = 5


def table(function: Callable[..., int], inputs: int) -> int:
    """Truth table of a function of so many bits, its first argument lowest.

    >>> bin(table(lambda a, b: a & (1 - b), 2))
    '0b10'
    """
    rows = product((0, 1), repeat=inputs)
    return sum(function(*row[::-1]) << place for place, row in enumerate(rows))


def lut(m: Module, name: str, init: int, inputs: Sequence[Value], output: Value) -> None:
    """One function of up to six bits."""
    m.submodules[name] = Instance(
        f"LUT{len(inputs)}",
        p_INIT=Const(init, 1 << len(inputs)),
        **{f"i_I{k}": value for k, value in enumerate(inputs)},
        o_O=output,
    )


def lut_pair(
    m: Module, name: str, inits: tuple[int, int], inputs: Sequence[Value], outputs: Sequence[Value]
) -> None:
    """Two functions of the same up to five bits."""
    # With the sixth input high, the lower half of the table is O5 and the upper one O6.
    spare = _SHARED - len(inputs)
    halves = [repeated(init, len(inputs), spare) for init in inits]
    m.submodules[name] = Instance(
        "LUT6_2",
        p_INIT=Const(halves[0] | halves[1] << (1 << _SHARED), 1 << _INPUTS),
        **{f"i_I{k}": value for k, value in enumerate((*inputs, *[Const(1)] * (spare + 1)))},
        o_O5=outputs[0],
        o_O6=outputs[1],
    )


def repeated(init: int, inputs: int, more: int) -> int:
    """A truth table with inputs added that make no difference."""
    for _ in range(more):
        init |= init << (1 << inputs)
        inputs += 1
    return init


@lru_cache
def pairing(supports: tuple[frozenset, ...]) -> tuple[tuple[int, ...], ...]:
    """Functions, given by the inputs of each, in the fewest groups of one or two that share five.

    >>> pairing((frozenset("ab"), frozenset("abcdef"), frozenset("cde")))
    ((0, 2), (1,))
    """

    @cache
    def fewest(left: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        if not left:
            return ()
        first, rest = left[0], left[1:]
        best = ((first,), *fewest(rest))
        for other in rest:
            if len(supports[first] | supports[other]) <= _SHARED:
                found = ((first, other), *fewest(tuple(n for n in rest if n != other)))
                best = min(best, found, key=len)
        return best

    return fewest(tuple(range(len(supports))))


class _Input(NamedTuple):
    """A bit that a bit of a selector depends on: of the word, the sign or the index."""

    kind: str
    place: int = 0


_SIGN = _Input("sign")


class _Bit(NamedTuple):
    """One bit of a selector: for each value of the index the word's bit that it passes."""

    taken: tuple[int | None, ...]
    folds: bool

    @property
    def decisive(self) -> tuple[int, ...]:
        """Places of the index that make a difference."""
        return tuple(
            place
            for place in range((len(self.taken) - 1).bit_length())
            if any(self.taken[k] != self.taken[k ^ 1 << place] for k in range(len(self.taken)))
        )

    @property
    def inputs(self) -> tuple[_Input, ...]:
        """All that it depends on."""
        word = [_Input("word", place) for place in dict.fromkeys(self.taken) if place is not None]
        sign = [_SIGN] if self.folds and word else []
        return (*word, *sign, *(_Input("index", place) for place in self.decisive))

    def given(self, place: int, high: int) -> "_Bit":
        """The bit where a bit of the index is known."""
        known = [self.taken[k & ~(1 << place) | high << place] for k in range(len(self.taken))]
        return _Bit(tuple(known), self.folds)

    def init(self, inputs: Sequence[_Input]) -> int:
        """Truth table over some inputs, its own among them."""

        def value(*row: int) -> int:
            known = dict(zip(inputs, row, strict=True))
            place = self.taken[sum(known[_Input("index", n)] << n for n in self.decisive)]
            if place is None:
                return 0
            return known[_Input("word", place)] ^ (known[_SIGN] if self.folds else 0)

        return table(value, len(inputs))


class _Cell(NamedTuple):
    """A look-up table: its inputs, and place and truth table of each output."""

    inputs: tuple[_Input, ...]
    places: tuple[int, ...]
    inits: tuple[int, ...]


class _Mux(NamedTuple):
    """Two look-up tables, of which a bit of the index chooses one."""

    place: int
    decided_by: int
    halves: tuple[_Cell, _Cell]


def cell(bits: Sequence[_Bit], places: tuple[int, ...]) -> _Cell:
    inputs = tuple(dict.fromkeys(n for place in places for n in bits[place].inputs))
    return _Cell(inputs, places, tuple(bits[place].init(inputs) for place in places))


@lru_cache
def cells(selector: Select) -> tuple[_Cell | _Mux, ...]:
    """The look-up tables of a selector; places that are none's are zero."""
    bits = []
    for place in range(selector.width):
        taken = [
            None
            if source is None or not 0 <= place - source.shift < len(source.places)
            else source.places[place - source.shift]
            for source in selector.sources
        ]
        bits.append(_Bit(tuple(taken), selector.folds))
    narrow = [place for place, bit in enumerate(bits) if 0 < len(bit.inputs) <= _INPUTS]
    groups = pairing(tuple(frozenset(bits[place].inputs) for place in narrow))
    found: list[_Cell | _Mux] = [cell(bits, tuple(narrow[n] for n in group)) for group in groups]
    for place, bit in enumerate(bits):
        if len(bit.inputs) > _INPUTS:
            index = bit.decisive[-1]
            low, high = ((bit.given(index, n),) for n in (0, 1))
            found.append(_Mux(place, index, (cell(low, (0,)), cell(high, (0,)))))
    return tuple(found)


def select(
    m: Module,
    name: str,
    selector: Select,
    word: Value,
    index: Sequence[Value],
    negative: Value | None = None,
) -> Value:
    """See :func:`rtl.columns.generic.select`.

    A bit of up to six inputs is a look-up table or half of one, one of more inputs two and a MUXF7.
    """

    def signal(source: _Input) -> Value:
        if source is _SIGN:
            assert negative is not None
            return negative
        return (word if source.kind == "word" else index)[source.place]

    out = Signal(selector.width, name=f"{name}_out")
    for item in cells(selector):
        if isinstance(item, _Mux):
            halves = Signal(2, name=f"{name}_{item.place}_halves")
            for high, half in enumerate(item.halves):
                inputs = [signal(source) for source in half.inputs]
                if inputs:
                    lut(m, f"{name}_lut_{item.place}_{high}", half.inits[0], inputs, halves[high])
                else:
                    m.d.comb += halves[high].eq(half.inits[0])
            m.submodules[f"{name}_{item.place}_mux"] = Instance(
                "MUXF7",
                i_I0=halves[0],
                i_I1=halves[1],
                i_S=index[item.decided_by],
                o_O=out[item.place],
            )
            continue
        inputs = [signal(source) for source in item.inputs]
        outputs = [out[place] for place in item.places]
        place = item.places[0]
        if len(outputs) == 1:
            lut(m, f"{name}_lut_{place}", item.inits[0], inputs, outputs[0])
        else:
            low, high = item.inits
            lut_pair(m, f"{name}_lut_{place}", (low, high), inputs, outputs)
    return out


def adder(m: Module, values: Sequence[tuple[Value, int]], width: int, name: str) -> Value:
    """See :func:`rtl.arithmetic.plain_adder`.

    Three values take a look-up table a bit and one carry chain: a full adder in each table gives a
    sum bit and, for the next place, a majority; the carry chain adds the two.
    """
    if len(values) < 3:
        return plain_adder(m, values, width, name)
    propagate = Signal(width, name=f"{name}_propagate")
    majority = Signal(width, name=f"{name}_majority")
    generate = majority << 1
    for place in range(width):
        bits = [value[place - shift] for value, shift in values if 0 <= place - shift < len(value)]
        brought = [generate[place]] if place and carries(values, place - 1) else []
        inputs = [*bits, *brought]
        parity = table(lambda *row: sum(row) & 1, len(inputs))
        if not inputs:
            m.d.comb += propagate[place].eq(0)
        elif carries(values, place) and place + 1 < width:
            both = majority_table(len(bits), len(inputs))
            outputs = (majority[place], propagate[place])
            lut_pair(m, f"{name}_lut_{place}", (both, parity), inputs, outputs)
        else:
            lut(m, f"{name}_lut_{place}", parity, inputs, propagate[place])
    total = Signal(width, name=f"{name}_total")
    carry: Value = Const(0)
    for start in range(0, width, 4):
        carries_out = Signal(4, name=f"{name}_carry_{start}")
        outputs = Signal(4, name=f"{name}_sums_{start}")
        m.submodules[f"{name}_chain_{start}"] = Instance(
            "CARRY4",
            i_CI=carry,
            i_CYINIT=Const(0),
            i_DI=padded(generate[start : start + 4][: width - start]),
            i_S=padded(propagate[start : start + 4]),
            o_O=outputs,
            o_CO=carries_out,
        )
        m.d.comb += total[start : start + 4].eq(outputs)
        carry = carries_out[3]
    return total


def majority_table(count: int, inputs: int) -> int:
    """Whether more than one of the first ``count`` inputs is high."""
    return table(lambda *row: int(sum(row[:count]) > 1), inputs)


def carries(values: Sequence[tuple[Value, int]], place: int) -> bool:
    """Whether more than one of the values has a bit at a place."""
    return sum(0 <= place - shift < len(value) for value, shift in values) > 1


def padded(bits: Value) -> Value:
    """Four bits, zeros above."""
    return Cat(bits, Const(0, 4 - len(bits))) if len(bits) < 4 else bits
