import random

import pytest
from amaranth.back import rtlil

from rtl.dma.split import BurstSplitter, bursts
from sim.bench import Bench
from tests.rtl.dma.bench import config


def rows_of(generator, count):
    return [
        {
            "first": generator.choice((0, 15, 16, 511, generator.randrange(1 << 20))),
            "row_beats": generator.choice((1, 2, 16, 17, 100, generator.randint(1, 60))),
            "memory_stride": generator.choice((0, 1, 512, generator.randrange(1 << 12))),
            "rows": generator.choice((1, 1, 2, 7)),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("burst", [2, 16, 256])
def test_bursts(burst, stall):
    dut = BurstSplitter(config(bits=(64, 24, 60, 50), burst=burst))
    rows = rows_of(random.Random(burst), 20)
    wanted = [b for r in rows for b in bursts(**r, burst=burst)]
    sent, received = Bench(dut).transfer({"i": rows}, {"o": len(wanted)}, stall=stall)
    assert [(b["address"], b["length"]) for b in received["o"].values] == wanted
    if stall == 0:
        # One in two cycles, and three for the next rows to begin.
        cycle = iter(received["o"].cycles)
        for begin, r in zip(sent["i"], rows):
            for n, _ in enumerate(bursts(**r, burst=burst)):
                assert next(cycle) == begin + dut.latency + 2 * n


def test_no_beat_is_left_out_or_crosses():
    for r in rows_of(random.Random(0), 50):
        split = bursts(**r, burst=16)
        beats = [a + k for a, length in split for k in range(length + 1)]
        whole = [
            r["first"] + row * r["memory_stride"] + k
            for row in range(r["rows"])
            for k in range(r["row_beats"])
        ]
        assert beats == whole
        assert all(a // 512 == (a + length) // 512 for a, length in split)


def test_conversion():
    rtlil.convert(BurstSplitter(config()))
