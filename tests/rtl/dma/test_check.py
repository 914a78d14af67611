import random

import pytest
from amaranth.back import rtlil

from rtl.dma.check import Checker, judge
from rtl.dma.registers import TransferError
from rtl.registers import Region
from sim.bench import Bench
from tests.rtl.dma.bench import config, transfer

BASE, SIZE = 1000, 500


def check(transfers, base=BASE, size=SIZE):
    """What the checker says of each, and the cycles it took."""
    dut = Checker(config())
    bench = Bench(dut)
    settings = {"base": base, "size": size}
    sent, received = bench.transfer({"i": transfers}, {"o": len(transfers)}, settings=settings)
    took = [out - into for into, out in zip(sent["i"], received["o"].cycles)]
    return received["o"].values, took


def near(generator):
    """A transfer that ends about where its buffer or its region does."""
    ports = config()
    region, depth, bits = generator.choice(ports.regions)
    words, rows = generator.randint(1, 9), generator.randint(1, 6)
    stride, step = generator.randrange(100), generator.randrange(20)
    row = words * ports.beats(bits)
    return transfer(
        region,
        words=words,
        rows=rows,
        memory_stride=stride,
        address_stride=step,
        offset=max(0, SIZE - row - (rows - 1) * stride + generator.randint(-2, 2)),
        address=max(0, depth - words - (rows - 1) * step + generator.randint(-2, 2)),
    )


def test_agrees_with_the_model():
    generator = random.Random(5)
    ports = config()
    transfers = [near(generator) for _ in range(120)]
    found, _ = check(transfers)
    wanted = [judge(ports, t, BASE, SIZE) for t in transfers]
    assert {*wanted} == {
        TransferError.NONE,
        TransferError.OUTSIDE_REGION,
        TransferError.OUTSIDE_BUFFER,
    }
    for t, o, error in zip(transfers, found, wanted):
        assert o["refused"] == (error is not TransferError.NONE)
        if o["refused"]:
            assert o["error"] == error
            continue
        beats = ports.beats(ports.bits_of(Region(t["region"])))
        assert o["first"] == BASE + t["offset"]
        assert o["row_beats"] == t["words"] * beats
        for name in ("store", "region", "rows", "words", "memory_stride", "address_stride"):
            assert o[name] == t[name]


@pytest.mark.parametrize("rows", [1, 2, 3, 200, 2**16 - 1])
def test_latency(rows):
    ports = config()
    good = transfer(Region.PARAMETERS, rows=rows, address_stride=0, memory_stride=0)
    (seen,), (took,) = check([good])
    assert not seen["refused"]
    assert took == Checker.latency(ports.beats(200), rows) <= 30


@pytest.mark.parametrize(
    ("base", "size", "fits"),
    [(2**29 - 8, 8, True), (2**29 - 8, 9, False), (2**29 - 1, 2**29 - 1, False), (0, 1, True)],
)
def test_buffers_at_the_end_of_the_address_space(base, size, fits):
    (seen,), _ = check([transfer(Region.INSTRUCTIONS)], base, size)
    assert seen["refused"] == (not fits)
    wanted = TransferError.NONE if fits else TransferError.OUTSIDE_BUFFER
    assert judge(config(), transfer(Region.INSTRUCTIONS), base, size) is wanted


def test_conversion():
    rtlil.convert(Checker(config()))
