import random

import pytest
from amaranth.back import rtlil

from rtl.dma.walk import WordWalker, words_of
from sim.bench import Bench


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_words(stall):
    dut = WordWalker()
    generator = random.Random(3)
    blocks = [
        {
            "region": generator.randrange(8),
            "address": generator.randrange(1 << 20),
            "words": generator.choice((1, 2, 9)),
            "rows": generator.choice((1, 2, 5)),
            "address_stride": generator.randrange(1 << 16),
        }
        for _ in range(25)
    ]
    wanted = []
    for block in blocks:
        places = words_of(**{k: v for k, v in block.items() if k != "region"})
        wanted += [
            {"region": block["region"], "address": place, "last": int(n == len(places) - 1)}
            for n, place in enumerate(places)
        ]
    sent, received = Bench(dut).transfer({"i": blocks}, {"o": len(wanted)}, stall=stall)
    assert received["o"].values == wanted
    if stall == 0:
        cycles = iter(received["o"].cycles)
        for begin, block in zip(sent["i"], blocks):
            for n in range(block["words"] * block["rows"]):
                assert next(cycles) == begin + dut.latency + n


def test_conversion():
    rtlil.convert(WordWalker())
