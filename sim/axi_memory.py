"""The external memory of a compiled simulation, whose AXI ports are clocked in C++."""

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rtl.dma.registers import BEAT, CHANNELS

__all__ = ["Access", "AxiMemory"]

BASE = 1 << 28
SIZE = 1 << 28
PAGE = 4096
VIOLATIONS = (
    "a burst is not of type INCR, of whole beats and at a beat's address",
    "a burst is longer than agreed",
    "a burst crosses 4096 bytes",
    "WLAST is not with the last beat",
    "a beat is written in part",
    "what was offered changed before it was taken",
)


class _Settings(ctypes.Structure):
    """The structure Settings of ``axi_memory.h``."""

    _fields_ = [
        ("content", ctypes.c_void_p),
        ("ranges", ctypes.c_void_p),
        ("errors", ctypes.c_void_p),
        ("base", ctypes.c_uint64),
        ("range_count", ctypes.c_uint64),
        ("error_count", ctypes.c_uint64),
        ("random", ctypes.c_uint64),
        ("stall", ctypes.c_uint64),
        ("latency", ctypes.c_uint32),
        ("percent", ctypes.c_uint32),
        ("outstanding", ctypes.c_uint32),
        ("burst", ctypes.c_uint32),
        ("beats_read", ctypes.c_uint64 * CHANNELS),
        ("beats_written", ctypes.c_uint64 * CHANNELS),
        ("escapes", ctypes.c_uint64),
        ("escape_address", ctypes.c_uint64),
        ("escape_port", ctypes.c_uint32),
        ("escape_store", ctypes.c_uint32),
        ("violation", ctypes.c_uint32),
        ("violation_port", ctypes.c_uint32),
    ]


@dataclass(frozen=True)
class Access:
    """A burst: its port, whether it writes, and the address of its first byte."""

    port: int
    store: bool
    address: int


class AxiMemory:
    """One memory behind two AXI4 ports of 64 bits; a :class:`boards.accelerator.Memory`.

    A port answers in order. The first beat of a read is offered ``latency`` cycles after its
    address is taken, the response of a write as long after its address and its last beat.
    ``percent`` is the share of cycles in which a beat may pass a port, in whichever direction; it
    is evenly spread, and at most one beat is saved up. A write has its effect when address and data
    have come. In a cycle port 0 goes first.

    Without stalls a run takes the same cycles each time, and with them for the same seed.

    Parameters
    ----------
    settings : int
        Address of the model's structure.

    Attributes
    ----------
    base, size : int
        Of the memory; :meth:`allocate` changes both.
    content : uint8 [size]
        Its bytes, which the model reads and writes.
    """

    def __init__(self, settings: int) -> None:
        self._settings = _Settings.from_address(settings)
        self.latency, self.percent, self.outstanding, self.burst = 50, 100, 8, 16
        self.stall(0.0)
        self.allocate(SIZE, BASE)

    def allocate(self, size: int, base: int = BASE) -> None:
        """Another memory, which holds zeros; forgets ranges and errors.

        Errors: ``ValueError`` for a base or size that is no multiple of 4096.
        """
        if base % PAGE or size % PAGE or size <= 0:
            raise ValueError(f"base {base:#x} and size {size:#x} must be multiples of {PAGE}")
        self.base, self.size = base, size
        self.content = np.zeros(size, np.uint8)
        self._settings.content = self.content.ctypes.data
        self._settings.base = base
        self.allow([(0, size)])
        self.fail([])

    def write(self, offset: int, content: np.ndarray) -> None:
        """Put an array's bytes at an offset, a multiple of 8."""
        found = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
        self._inside(offset, found.size)
        self.content[offset : offset + found.size] = found

    def read(self, offset: int, count: int) -> np.ndarray:
        """Bytes uint8 [count] from an offset on."""
        self._inside(offset, count)
        return self.content[offset : offset + count].copy()

    def _inside(self, offset: int, count: int) -> None:
        if offset < 0 or offset % BEAT or offset + count > self.size:
            raise ValueError(f"no {count} bytes at {offset:#x} of a memory of {self.size:#x} bytes")

    @property
    def latency(self) -> int:
        """Cycles from an address to its first beat."""
        return self._settings.latency

    @latency.setter
    def latency(self, cycles: int) -> None:
        self._settings.latency = cycles

    @property
    def percent(self) -> int:
        """Of a port's cycles, those in which a beat may pass: 1 to 100."""
        return self._settings.percent

    @percent.setter
    def percent(self, percent: int) -> None:
        if not 1 <= percent <= 100:
            raise ValueError(f"percent = {percent}: allowed is 1 to 100")
        self._settings.percent = percent

    @property
    def outstanding(self) -> int:
        """Bursts of each direction that a port takes before the first is answered."""
        return self._settings.outstanding

    @outstanding.setter
    def outstanding(self, bursts: int) -> None:
        self._settings.outstanding = bursts

    @property
    def burst(self) -> int:
        """Beats that a burst may have; a longer one is a violation."""
        return self._settings.burst

    @burst.setter
    def burst(self, beats: int) -> None:
        self._settings.burst = beats

    def stall(self, share: float, seed: int = 0) -> None:
        """Let each channel of each port hold still at random in such a share of the cycles.

        Errors: ``ValueError`` for a share that is not in 0 ... 0.99.
        """
        if not 0 <= share <= 0.99:
            raise ValueError(f"share = {share}: allowed is 0 to 0.99")
        self._settings.stall = int(share * 2**32)
        # A generator's state that is not 0, and far from that of the next seed.
        self._settings.random = (seed + 1) * 0x9E3779B97F4A7C15 % 2**64 or 1

    def fail(self, offsets: Iterable[int]) -> None:
        """Beats, by offset, that are answered with SLVERR from now on."""
        self._errors = np.array([self.base + offset for offset in offsets], np.uint64)
        self._settings.errors = self._errors.ctypes.data
        self._settings.error_count = len(self._errors)

    def allow(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Ranges (offset, bytes) that may be accessed; forgets what was recorded.

        A burst that does not lie in one of them is an escape: it is answered with DECERR and
        changes nothing.
        """
        found = [(offset, offset + count) for offset, count in ranges]
        for offset, end in found:
            self._inside(offset, end - offset)
        self._ranges = np.array(found, np.uint64).reshape(-1, 2) + np.uint64(self.base)
        self._settings.ranges = self._ranges.ctypes.data
        self._settings.range_count = len(self._ranges)
        self.forget()

    def forget(self) -> None:
        """Set all that is recorded to nothing."""
        counts = (ctypes.c_uint64 * CHANNELS)()
        self._settings.beats_read = self._settings.beats_written = counts
        self._settings.escapes = self._settings.violation = 0

    @property
    def beats_read(self) -> tuple[int, ...]:
        """Beats that each port has read."""
        return tuple(self._settings.beats_read)

    @property
    def beats_written(self) -> tuple[int, ...]:
        """Beats that each port has written."""
        return tuple(self._settings.beats_written)

    @property
    def escapes(self) -> int:
        """Bursts outside of the ranges."""
        return self._settings.escapes

    @property
    def first_escape(self) -> Access | None:
        """The first of them."""
        found = self._settings
        if not found.escapes:
            return None
        return Access(found.escape_port, bool(found.escape_store), found.escape_address)

    @property
    def violation(self) -> str | None:
        """The first rule of AXI4 that a port broke."""
        found = self._settings
        if not found.violation:
            return None
        return f"port {found.violation_port}: {VIOLATIONS[found.violation - 1]}"
