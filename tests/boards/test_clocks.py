"""Divisors for the clock of the logic, on registers that are a dict."""

import pytest

from boards.clocks import set_clock, set_memory_ports
from quant.errors import NoMulError


class Registers(dict):
    """Words by address; 0 where nothing was written."""

    def read(self, address):
        return self.get(address, 0)

    def write(self, address, value):
        self[address] = value


@pytest.mark.parametrize(
    "reference, feedback, wanted, found, product",
    [
        (50.0, 20, 100.0, 100.0, 10),
        (33.333333, 30, 150.0, 142.857, 7),
        (50.0, 20, 200.0, 200.0, 5),
        (50.0, 20, 1.0, 1.0, 1000),
    ],
)
def test_zynq_7000(reference, feedback, wanted, found, product):
    words = Registers({0xF8000108: feedback << 12 | 1 << 3})
    assert set_clock(words, "ps7", reference, wanted) == pytest.approx(found, rel=1e-5)
    assert words[0xF8000008] == 0xDF0D
    control = words[0xF8000170]
    assert (control >> 8 & 63) * (control >> 20 & 63) == product
    assert control & ~(63 << 8 | 63 << 20) == 0


@pytest.mark.parametrize("halved, found", [(0, 300.0), (1, 300.0)])
def test_ultrascale(halved, found):
    words = Registers({0xFF5E0020: 90 << 8 | halved << 16, 0xFD615000: 0xA00})
    assert set_clock(words, "ps8", 33.333333, 300.0) == pytest.approx(found, rel=1e-4)
    assert words[0xFD615000] == 0x800  # the other port keeps its width
    control = words[0xFF5E00C0]
    assert (control >> 8 & 63) * (control >> 16 & 63) == (5 if halved else 10)
    assert control >> 24 == 1 and control & 7 == 0


def test_too_slow():
    words = Registers({0xF8000108: 20 << 12})
    with pytest.raises(NoMulError, match=r"no divisors make 0\.1 MHz of 1000\.0 MHz; ask for more"):
        set_clock(words, "ps7", 50.0, 0.1)


@pytest.mark.parametrize(
    "kind, places, bits",
    [
        ("ps7", (0xF8008000, 0xF8008014, 0xF800A000, 0xF800A014), 0xF00),
        ("ps8", (0xFD380000, 0xFD380014, 0xFD390000, 0xFD390014), 0xF01),
    ],
)
def test_memory_ports_get_64_bits(kind, places, bits):
    words = Registers({place: 0xF01 if kind == "ps7" else 0xF02 for place in places})
    set_memory_ports(words, kind)
    assert words == dict.fromkeys(places, bits)
