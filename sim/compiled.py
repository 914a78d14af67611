"""Fast simulation of a whole machine: RTL compiled to a library of this CPU, clocked in C."""

import ctypes
from pathlib import Path

import numpy as np

from quant.errors import NoMulError
from rtl.cache import Cache, digest
from rtl.design import Design
from sim.axi_memory import AxiMemory
from sim.bus import LATENCY_LIMIT, as_words, check_block, late
from sim.toolchain import find_compiler, find_verilator
from sim.verilator import LIBRARY, Port, Progress, build_library, load_ports, toolchain_key

__all__ = ["CompiledModel"]

_STEP = 1 << 20  # cycles between two chances for Ctrl-C


def _silent(message: str) -> None:
    pass


class CompiledModel:
    """A component's RTL as a library; a :class:`boards.accelerator.Transport` by its host bus.

    In its place the component may have an AXI4-Lite port, ``control``.

    Ports are named as in Verilog (``bus__address``), values are unsigned integers of any width.
    Every instance starts in the power-on state. ``cycles`` counts since then. ``memory`` is an
    :class:`AxiMemory` at the ports ``axi_0`` and ``axi_1``, None where there are no such ports.

    Parameters
    ----------
    entry : Path
        Cache entry that :meth:`build` made.
    name : str
        For messages.
    """

    def __init__(self, entry: Path, name: str) -> None:
        self.name = name
        self.cycles = 0
        self._stale = False
        self._model = None
        try:
            self._library = ctypes.CDLL(str(entry / LIBRARY))
        except OSError as error:
            raise NoMulError(
                f"cannot load {entry / LIBRARY} ({error}): set NOMUL_CACHE to a folder from which "
                f"programs may run"
            ) from error
        pointer, word = ctypes.c_void_p, ctypes.c_uint64
        for function, result, arguments in (
            ("new", pointer, ()),
            ("delete", None, (pointer,)),
            ("port", pointer, (pointer, ctypes.c_int)),
            ("memory", pointer, (pointer,)),
            ("eval", None, (pointer,)),
            ("tick", None, (pointer, word)),
            ("run_until", word, (pointer, pointer, ctypes.c_uint, word, word, word)),
            ("write", word, (pointer, ctypes.c_uint32, pointer, word, word, pointer)),
            ("read", word, (pointer, ctypes.c_uint32, pointer, word, word, pointer)),
        ):
            if hasattr(self._library, f"model_{function}"):
                entry_point = getattr(self._library, f"model_{function}")
                entry_point.restype, entry_point.argtypes = result, arguments
        self._model = self._library.model_new()
        self.memory: AxiMemory | None = None
        if hasattr(self._library, "model_memory"):
            self.memory = AxiMemory(self._library.model_memory(self._model))
        self.ports: dict[str, Port] = {}
        self._bytes: dict[str, ctypes.Array] = {}
        for index, port in enumerate(load_ports(entry)):
            self.ports[port.name] = port
            address = self._library.model_port(self._model, index)
            self._bytes[port.name] = (ctypes.c_uint8 * port.bytes).from_address(address)

    @classmethod
    def build(
        cls,
        design: Design,
        progress: Progress = _silent,
        cache: Cache | None = None,
    ) -> "CompiledModel":
        """Compile a design, or take it from the cache.

        A hit does not elaborate the design: sources, arguments and tool versions stand for it.
        Failing that, equal Verilog gives an equal library.

        Parameters
        ----------
        design : Design
        progress : function of str
            Called with what is being done, where that takes long.
        cache : Cache, optional

        Raises
        ------
        NoMulError
            If pyosys, Verilator or a C++ compiler is missing or the cache cannot be written.
        """
        cache = cache or Cache()
        shortcut = digest(design.key, toolchain_key(find_compiler(), find_verilator()))
        found = cache.find("shortcut", shortcut)
        entry = found and cache.find("model", (found / "key").read_text())
        if entry is None:
            progress(f"{design.name}: elaborating")
            key = build_library(design.verilog(), design.name, cache, progress)
            cache.entry("shortcut", shortcut, lambda path: _write_text(path / "key", key))
            entry = cache.folder / "model" / key
        return cls(entry, design.name)

    def reset(self) -> None:
        """One cycle of ``rst``: every register that has a reset; memories keep their contents.

        External memory forgets what is under way at its ports.
        """
        self.set("rst", 1)
        self.tick()
        self.set("rst", 0)

    def tick(self, cycles: int = 1) -> None:
        """Let so many clock cycles pass."""
        left = cycles
        while left > 0:
            step = min(left, _STEP)
            self._library.model_tick(self._model, step)
            left -= step
        self.cycles += cycles
        self._stale = False

    def idle(self) -> None:
        """A thousand cycles or so, for a driver that waits."""
        self.tick(1 << 10)

    def get(self, port: str) -> int:
        """Value of a port."""
        if self._stale:
            self._library.model_eval(self._model)
            self._stale = False
        return int.from_bytes(self._bytes[port], "little")

    def set(self, port: str, value: int) -> None:
        """Drive an input."""
        sizes = self.ports[port]
        if not sizes.is_input:
            raise ValueError(f"{self.name}: {port} is an output")
        if not 0 <= value < 1 << sizes.width:
            raise ValueError(f"{self.name}: {port} has {sizes.width} bits, {value} needs others")
        self._bytes[port][:] = list(value.to_bytes(sizes.bytes, "little"))
        self._stale = True

    def run_until(self, port: str, mask: int, value: int, limit: int) -> int:
        """Cycles until ``port & mask == value``; 0 if it is so now.

        Raises
        ------
        TimeoutError
            If it is not so after ``limit`` cycles.
        """
        sizes = self.ports[port]
        if sizes.width > 64:
            raise ValueError(f"{self.name}: {port} has {sizes.width} bits, more than 64")
        self.get(port)
        place = ctypes.addressof(self._bytes[port])
        passed = 0
        while passed < limit:
            step = min(limit - passed, _STEP)
            passed += self._library.model_run_until(
                self._model, place, sizes.bytes, mask, value, step
            )
            if self.get(port) & mask == value:
                break
        self.cycles += passed
        if self.get(port) & mask != value:
            raise TimeoutError(
                f"{self.name}: {port} & {mask:#x} is not {value:#x} after {limit} cycles"
            )
        return passed

    def write(self, address: int, words: np.ndarray) -> None:
        """Write uint32 words to consecutive addresses of the host bus, one a cycle.

        Raises
        ------
        TimeoutError
            If the machine does not answer, or with an error.
        """
        words = as_words(words)
        check_block(address, words.size)
        passed = ctypes.c_uint64()
        done = self._library.model_write(
            self._model,
            address,
            words.ctypes.data,
            words.size,
            LATENCY_LIMIT,
            ctypes.byref(passed),
        )
        self.cycles += passed.value
        self._stale = True
        if done != words.size:
            raise late(self.name, address, words.size, done, "writes to")

    def read(self, address: int, count: int) -> np.ndarray:
        """Read ``count`` uint32 words from consecutive addresses: count + latency - 1 cycles.

        Raises
        ------
        TimeoutError
            If the machine does not answer.
        """
        check_block(address, count)
        words = np.empty(count, np.uint32)
        passed = ctypes.c_uint64()
        got = self._library.model_read(
            self._model,
            address,
            words.ctypes.data,
            count,
            LATENCY_LIMIT,
            ctypes.byref(passed),
        )
        self.cycles += passed.value
        self._stale = True
        if got != count:
            raise late(self.name, address, count, got)
        return words

    def __del__(self) -> None:
        if self._model is not None:
            self._library.model_delete(self._model)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)
