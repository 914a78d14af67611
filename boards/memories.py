"""External memory that host and machine share, as Linux and PYNQ give it."""

import os
from pathlib import Path

import numpy as np

from boards.transports import package
from quant.errors import NoMulError

__all__ = ["DmaBuffer", "PynqMemory"]


class DmaBuffer:
    """A :class:`boards.buffers.Memory` that the kernel's module u-dma-buf holds.

    It is read and written by system calls on the device, opened with ``O_SYNC``: then the module
    keeps the processor's caches out of the way, and all is in the memory when a call returns.

    Parameters
    ----------
    name : str
        Of the device.
    folder, devices : path
        Of the system's devices.

    Errors: :class:`NoMulError` where there is no such device, or it cannot be read or written.
    """

    def __init__(
        self,
        name: str = "nomul-memory",
        folder: str = "/sys/class/u-dma-buf",
        devices: str = "/dev",
    ) -> None:
        self.path = str(Path(devices, name))
        try:
            self.base, self.size = (
                int(Path(folder, name, entry).read_text(), 0) for entry in ("phys_addr", "size")
            )
            self.file = os.open(self.path, os.O_RDWR | os.O_SYNC)
        except OSError as error:
            raise NoMulError(
                f"no memory {name} ({error.strerror}); load the module u-dma-buf and the device "
                f"tree overlay of the package, and run as root"
            ) from error

    def write(self, offset: int, content: np.ndarray) -> None:
        """See :class:`boards.buffers.Memory`."""
        left = memoryview(content.tobytes())
        while left:
            done = self.checked(os.pwrite(self.file, left, offset), offset)
            left, offset = left[done:], offset + done

    def read(self, offset: int, count: int) -> np.ndarray:
        """See :class:`boards.buffers.Memory`."""
        found = bytearray(count)
        left = memoryview(found)
        while left:
            done = self.checked(os.preadv(self.file, [left], offset), offset)
            left, offset = left[done:], offset + done
        return np.frombuffer(found, np.uint8)

    def checked(self, done: int, offset: int) -> int:
        """Bytes that a call moved. Error: none."""
        if not done:
            raise NoMulError(f"{self.path} ends at byte {offset}, of {self.size}; reserve more")
        return done


class PynqMemory:
    """A :class:`boards.buffers.Memory` that PYNQ allocates.

    Parameters
    ----------
    size : int
        Bytes.
    """

    def __init__(self, size: int) -> None:
        pynq = package("pynq", "a board's transport pynq needs; take another transport")
        self.size = size
        self.buffer = pynq.allocate((size,), dtype=np.uint8)
        self.base = int(self.buffer.device_address)

    def write(self, offset: int, content: np.ndarray) -> None:
        """See :class:`boards.buffers.Memory`."""
        part = self.buffer[offset : offset + content.nbytes]
        part[:] = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
        part.flush()

    def read(self, offset: int, count: int) -> np.ndarray:
        """See :class:`boards.buffers.Memory`."""
        part = self.buffer[offset : offset + count]
        part.invalidate()
        return np.array(part)
