"""Ways from a host to a machine's registers: memory that is mapped, or a serial line."""

import mmap
import os
import select
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from quant.errors import NoMulError
from rtl.registers import Register

__all__ = ["DevMem", "Mapped", "Pynq", "Serial", "Uio"]

WINDOW = 1 << 28
"""Bytes of a machine's address space."""

PAUSE = 20e-6
"""Seconds between two looks at a machine that works."""


def package(name: str, purpose: str) -> Any:
    """A package that not every board needs. Error: :class:`NoMulError` where it is missing."""
    try:
        return import_module(name)
    except ImportError:
        raise NoMulError(f"the package {name} is missing, which {purpose}") from None


class Mapped:
    """A machine whose registers stand in mapped memory.

    Every access is one of 32 bits: a block copy might make wider or unaligned ones, which device
    memory does not take.

    Parameters
    ----------
    memory : buffer
        Of bytes, the machine's address space.
    """

    def __init__(self, memory: Any) -> None:
        self.words = memoryview(memory).cast("B").cast("I")

    def write(self, address: int, words: np.ndarray) -> None:
        """See :class:`boards.accelerator.Transport`."""
        for place, word in enumerate(words.tolist(), address):
            self.words[place] = word

    def read(self, address: int, count: int) -> np.ndarray:
        """See :class:`boards.accelerator.Transport`."""
        found = [self.words[place] for place in range(address, address + count)]
        return np.array(found, np.uint32)

    def idle(self) -> None:
        """Sleep a little."""
        time.sleep(PAUSE)


def mapped(path: str, bytes_: int, offset: int) -> mmap.mmap:
    """A piece of a device file. Error: :class:`NoMulError` where it cannot be opened."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_SYNC)
        try:
            return mmap.mmap(handle, bytes_, offset=offset)
        finally:
            os.close(handle)
    except OSError as error:
        raise NoMulError(f"{path} cannot be mapped ({error.strerror}); run as root") from error


class DevMem(Mapped):
    """A machine by its physical address.

    Parameters
    ----------
    base : int
        Of its registers: that of the board.
    """

    def __init__(self, base: int) -> None:
        super().__init__(mapped("/dev/mem", WINDOW, base))


class Uio(Mapped):
    """A machine behind Linux's ``generic-uio``, which tells its interrupts: waiting costs no work.

    Parameters
    ----------
    name : str
        Of the node in the device tree.
    folder, devices : path
        Of the system's devices.
    """

    TIMEOUT = 0.1
    """Seconds after which the machine is looked at even without an interrupt."""

    def __init__(
        self, name: str = "nomul", folder: str = "/sys/class/uio", devices: str = "/dev"
    ) -> None:
        for found in sorted(Path(folder).glob("uio*")):
            if (found / "name").read_text().strip() == name:
                size = int((found / "maps/map0/size").read_text(), 16)
                path = str(Path(devices, found.name))
                super().__init__(mapped(path, size, 0))
                self.events = os.open(path, os.O_RDWR)
                return
        raise NoMulError(
            f"no UIO device is named {name}; load the device tree overlay of the package"
        )

    def idle(self) -> None:
        """Sleep until the interrupt, at most ``TIMEOUT``."""
        self.write(Register.INTERRUPT, np.array([1], np.uint32))
        os.write(self.events, (1).to_bytes(4, "little"))
        if select.select([self.events], [], [], self.TIMEOUT)[0]:
            os.read(self.events, 4)
        self.write(Register.INTERRUPT, np.array([0], np.uint32))


class Pynq(Mapped):
    """A machine on a board with PYNQ: loads the bitstream.

    Parameters
    ----------
    bitstream : path
    base : int
        Of its registers.
    """

    def __init__(self, bitstream: str | Path, base: int) -> None:
        pynq = package("pynq", "a board's transport pynq needs; take another transport")
        pynq.Bitstream(str(bitstream)).download()
        super().__init__(pynq.MMIO(base, WINDOW).array)


class Serial:
    """A machine behind a serial line: see ``rtl.serial.SerialHost``.

    Parameters
    ----------
    port : str
        As ``/dev/ttyUSB0``.
    baud : int
        The board's.
    line : optional
        What is used instead of pyserial's: ``read(count)``, ``write(bytes)``,
        ``reset_input_buffer()``.
    """

    WRITE, READ, TAKEN = 0x57, 0x52, 0x06
    MOST = 256
    """Words of a command."""
    SILENCE = 0.2
    """Seconds after which a command that was begun is forgotten."""
    TIMEOUT = 2.0

    def __init__(self, port: str, baud: int, line: Any = None) -> None:
        if line is None:
            serial = package("serial", "serial lines need: pip install pyserial")
            try:
                line = serial.Serial(port, baud, timeout=self.TIMEOUT)
            except serial.SerialException as error:
                raise NoMulError(f"{port} cannot be opened ({error}); name another") from error
        self.port = port
        self.line = line
        # Another driver may have been stopped in the middle of a command.
        time.sleep(self.SILENCE)
        self.line.reset_input_buffer()

    def write(self, address: int, words: np.ndarray) -> None:
        """See :class:`boards.accelerator.Transport`."""
        content = np.ascontiguousarray(words, "<u4")
        for start in range(0, len(content), self.MOST):
            part = content[start : start + self.MOST]
            self.line.write(self.command(self.WRITE, address + start, len(part)) + part.tobytes())
            answer = self.answer(1)
            if answer[0] != self.TAKEN:
                raise NoMulError(f"{self.port} answered {answer[0]:#04x}; check the bitstream")

    def read(self, address: int, count: int) -> np.ndarray:
        """See :class:`boards.accelerator.Transport`."""
        parts = []
        for start in range(0, count, self.MOST):
            size = min(self.MOST, count - start)
            self.line.write(self.command(self.READ, address + start, size))
            parts.append(np.frombuffer(self.answer(4 * size), "<u4"))
        return np.concatenate([np.zeros(0, "<u4"), *parts])

    def command(self, code: int, address: int, count: int) -> bytes:
        """The first bytes of a command."""
        return bytes([code, count - 1]) + address.to_bytes(4, "little")

    def answer(self, count: int) -> bytes:
        """So many bytes. Error: :class:`NoMulError` where they do not come."""
        found = self.line.read(count)
        if len(found) != count:
            raise NoMulError(
                f"{self.port} sent {len(found)} of {count} bytes; check the cable and the bitstream"
            )
        return found

    def idle(self) -> None:
        """Nothing: a look takes long enough."""
