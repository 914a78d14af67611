"""The clock of a Zynq's logic and the widths of its ports, set by the processor's registers."""

import mmap
from dataclasses import dataclass
from typing import Protocol

from boards.transports import mapped
from quant.errors import NoMulError

__all__ = [
    "CLOCKS",
    "MEMORY_PORTS",
    "ClockRegisters",
    "PhysicalMemory",
    "Words",
    "set_clock",
    "set_memory_ports",
]

DIVISORS = 63
"""The largest of either divisor."""


class Words(Protocol):
    """Words of 32 bits by physical address."""

    def read(self, address: int) -> int:
        """The word."""

    def write(self, address: int, value: int) -> None:
        """Set the word."""


class PhysicalMemory:
    """Words by way of ``/dev/mem``."""

    def read(self, address: int) -> int:
        """The word."""
        with mapped("/dev/mem", mmap.PAGESIZE, address & -mmap.PAGESIZE) as page:
            return memoryview(page).cast("I")[address % mmap.PAGESIZE // 4]

    def write(self, address: int, value: int) -> None:
        """Set the word."""
        with mapped("/dev/mem", mmap.PAGESIZE, address & -mmap.PAGESIZE) as page:
            memoryview(page).cast("I")[address % mmap.PAGESIZE // 4] = value


@dataclass(frozen=True)
class ClockRegisters:
    """Where a processing system makes the first clock of its logic.

    Clock = reference * feedback / (2 if halved) / divisor 0 / divisor 1.

    Parameters
    ----------
    before : tuple of (address, mask, value)
        What is set first: the bits of the mask.
    pll, feedback_at : int
        Register of the PLL, and the lowest bit of its 7 bits of feedback.
    halved_at : int or None
        Bit that halves it.
    control : int
        Register of the clock.
    fixed : int
        Bits of it that are set; the others are 0.
    divisors_at : (int, int)
        Lowest bits of its divisors, of 6 bits each.
    """

    before: tuple[tuple[int, int, int], ...]
    pll: int
    feedback_at: int
    halved_at: int | None
    control: int
    fixed: int
    divisors_at: tuple[int, int]


CLOCKS = {
    # UG585: SLCR_UNLOCK, IO_PLL_CTRL, FPGA0_CLK_CTRL from the IO PLL.
    "ps7": ClockRegisters(
        before=((0xF800_0008, 0xFFFF, 0xDF0D),),
        pll=0xF800_0108,
        feedback_at=12,
        halved_at=None,
        control=0xF800_0170,
        fixed=0,
        divisors_at=(8, 20),
    ),
    # UG1087: AFI_FS with 32 bits on M_AXI_HPM0_FPD, IOPLL_CTRL, PL0_REF_CTRL active.
    "ps8": ClockRegisters(
        before=((0xFD61_5000, 0x300, 0),),
        pll=0xFF5E_0020,
        feedback_at=8,
        halved_at=16,
        control=0xFF5E_00C0,
        fixed=1 << 24,
        divisors_at=(8, 16),
    ),
}
"""By the kind of the processing system."""


MEMORY_PORTS = {
    # UG585: AFI_RDCHAN_CTRL and AFI_WRCHAN_CTRL of S_AXI_HP0 and HP2, not of 32 bits.
    "ps7": tuple((0xF800_0000 | place, 1, 0) for place in (0x8000, 0x8014, 0xA000, 0xA014)),
    # UG1087: AFIFM_RDCTRL and AFIFM_WRCTRL of S_AXI_HP0_FPD and HP1_FPD, of 64 bits.
    "ps8": tuple((0xFD38_0000 | place, 3, 1) for place in (0, 0x14, 0x1_0000, 0x1_0014)),
}
"""Address, mask and value of what gives the memory ports 64 bits, by the processor's kind."""


def set_memory_ports(words: Words, kind: str) -> None:
    """Give the ports to external memory 64 bits, whatever was loaded before used them for."""
    for address, mask, value in MEMORY_PORTS[kind]:
        words.write(address, words.read(address) & ~mask | value)


def set_clock(words: Words, kind: str, reference_mhz: float, wanted_mhz: float) -> float:
    """Prepare the logic's port and set its clock, at most ``wanted_mhz``; what it became, in MHz.

    Errors: :class:`NoMulError` where no divisors make one so slow.
    """
    place = CLOCKS[kind]
    for address, mask, value in place.before:
        words.write(address, words.read(address) & ~mask | value)
    pll = words.read(place.pll)
    source = reference_mhz * (pll >> place.feedback_at & 0x7F)
    if place.halved_at is not None and pll >> place.halved_at & 1:
        source /= 2
    choices = [
        (first * second, first, second)
        for second in range(1, DIVISORS + 1)
        for first in range(1, DIVISORS + 1)
        # A hair more, for references that are no decimal numbers.
        if source / (first * second) <= wanted_mhz * 1.0001
    ]
    if not choices:
        raise NoMulError(f"no divisors make {wanted_mhz} MHz of {source} MHz; ask for more")
    product, first, second = min(choices)
    low, high = place.divisors_at
    words.write(place.control, place.fixed | first << low | second << high)
    return source / product
