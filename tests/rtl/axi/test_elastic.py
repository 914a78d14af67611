import random

import pytest
from amaranth.back import rtlil

from rtl.axi.elastic import Elastic
from sim.bench import Bench


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_order_and_rate(stall):
    dut = Elastic(20)
    generator = random.Random(1)
    words = [generator.getrandbits(20) for _ in range(300)]
    sent, received = Bench(dut).transfer({"i": words}, {"o": len(words)}, stall=stall)
    assert received["o"].values == words
    if stall == 0:
        first = sent["i"][0]
        assert sent["i"] == list(range(first, first + len(words)))
        assert received["o"].cycles == [cycle + dut.latency for cycle in sent["i"]]


def test_ready_is_a_register():
    """It follows the receiver a cycle late, and a word that comes meanwhile is kept."""
    dut = Elastic(8)
    rows = [
        {"i.valid": 1, "i.payload": 1, "o.ready": 0},
        {"i.payload": 2},
        {"i.payload": 3},
        {"o.ready": 1},
        {},
        {"i.valid": 0},
        {},
    ]
    shown = Bench(dut).played(rows, ["i.ready", "o.valid", "o.payload"])
    assert shown["i.ready"] == [1, 1, 0, 0, 1, 1, 1]
    assert shown["o.valid"] == [0, 1, 1, 1, 1, 1, 0]
    assert shown["o.payload"][1:6] == [1, 1, 1, 2, 3]


def test_conversion():
    rtlil.convert(Elastic(8))
