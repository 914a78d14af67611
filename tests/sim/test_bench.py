import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sim.bench import Bench, plain

PAIR = data.StructLayout({"a": 8, "b": data.ArrayLayout(4, 2)})


class Register(wiring.Component):
    """A stream through one register."""

    i: In(stream.Signature(PAIR))
    o: Out(stream.Signature(PAIR))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


def words(count):
    return [{"a": np.uint8(3 * n), "b": np.array([n % 16, 15 - n % 16])} for n in range(count)]


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
def test_words_arrive_in_order(stall):
    sent, received = Bench(Register()).transfer({"i": words(20)}, {"o": 20}, stall=stall)
    assert received["o"].values == plain(words(20))
    assert len(sent["i"]) == 20
    if stall == 0:
        assert sent["i"] == list(range(20))
        assert received["o"].cycles == list(range(1, 21))
    else:
        assert received["o"].cycles[-1] > 20 * (1 + stall / 2)


def test_stalls_are_seeded():
    def cycles(seed):
        bench = Bench(Register(), seed=seed)
        return bench.transfer({"i": words(20)}, {"o": 20}, stall=0.5)[1]["o"].cycles

    assert cycles(1) == cycles(1) != cycles(2)


def test_deadlock_is_an_error():
    with pytest.raises(TimeoutError, match="not ended after 50 cycles"):
        Bench(Register(), limit=50).transfer({"i": words(2)}, {"o": 3})


def test_rows_are_played_one_a_cycle():
    """An output is shown as it stands while the inputs of its row do."""
    first, second = words(2)
    rows = [
        {"i.valid": 1, "i.payload": first, "o.ready": 1},
        {"i.payload": second},
        {"i.valid": 0, "o.ready": 0},
        {},
    ]
    shown = Bench(Register()).played(rows, ["o.valid", "o.payload", "i.ready"])
    assert shown["o.valid"] == [0, 1, 1, 1]
    assert shown["o.payload"][1:] == plain([first, second, second])
    assert shown["i.ready"] == [1, 1, 0, 0]


def test_plain_values():
    assert plain(PAIR.const({"a": 1, "b": [2, 3]})) == {"a": 1, "b": [2, 3]}
    assert plain([np.int64(-4), (True,)]) == [-4, [1]]
