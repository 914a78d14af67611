"""Verilog to a shared library: Verilator, one C++ file and a shim, kept in the cache."""

import errno
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from platform import machine, processor

from quant.errors import NoMulError
from rtl.cache import Cache, digest
from sim.bus import LITE_PORTS, PORTS
from sim.toolchain import Compiler, Verilator, find_compiler, find_verilator

__all__ = ["LIBRARY", "Port", "Progress", "build_library", "load_ports", "toolchain_key"]

Progress = Callable[[str], None]

LIBRARY = "model.so"
_PORTS = "ports.json"
_SHIM = Path(__file__).with_name("shim.cpp")

_VERILATOR_FLAGS = (
    "--cc",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    "--no-timing",
    "--output-split",
    "0",
    "-Wno-fatal",
    "-Wno-lint",
)
# -g0 and nothing else that ziglang builds another C++ library for.
_COMPILER_FLAGS = (
    "-std=c++17",
    "-O2",
    "-g0",
    "-fPIC",
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TRACE=0",
    "-DVM_TRACE_FST=0",
    "-DVM_TRACE_VCD=0",
    "-DVM_TIMING=0",
    "-DVL_TIME_CONTEXT",
)
_ENTRY = re.compile(r"^    (\S+)\[(\d+)\] = (\S+);$")
_BLOCK = re.compile(r"(?:^    \S+\[\d+\] = \S+;\n)+", re.MULTILINE)
_DECLARATION = re.compile(r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),0(?:,\d+)?\);")


@dataclass(frozen=True)
class Port:
    """A port of the top: its name in Verilog, width in bits, and whether the host drives it."""

    name: str
    width: int
    is_input: bool

    @property
    def bytes(self) -> int:
        """Bytes of the port in the model: 1, 2, 4, 8, or a multiple of 4."""
        for size in (1, 2, 4, 8):
            if self.width <= 8 * size:
                return size
        return (self.width + 31) // 32 * 4


@lru_cache
def _cpu() -> str:
    """What code for this very CPU depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return digest(sorted({line for line in lines if line.startswith(wanted)}))


def toolchain_key(compiler: Compiler, verilator: Verilator) -> str:
    """Hash of everything but the Verilog that a library depends on."""
    return digest(
        [_cpu(), machine(), compiler.version, compiler.command, compiler.flags],
        [verilator.version, _VERILATOR_FLAGS, _COMPILER_FLAGS, _SHIM.read_text()],
    )


def load_ports(entry: Path) -> list[Port]:
    """The ports of the library in a cache entry, in the order of the shim's indices."""
    return [Port(**port) for port in json.loads((entry / _PORTS).read_text())]


def build_library(verilog: str, name: str, cache: Cache, progress: Progress) -> str:
    """Key of the cache entry "model" that holds the library of the module ``name``.

    Raises
    ------
    NoMulError
        If a tool is missing, the C++ compiler fails or the cache cannot be written.
    """
    compiler, verilator = find_compiler(), find_verilator()
    verilog = shared_code(looped_contents(verilog))
    key = digest(verilog, name, toolchain_key(compiler, verilator))

    def build(folder: Path) -> None:
        runtime = _runtime(compiler, verilator, cache, progress)
        progress(f"{name}: translating Verilog to C++")
        sources = _verilate(verilog, name, verilator, folder)
        ports = _read_ports(folder / "Vtop.h")
        (folder / _PORTS).write_text(json.dumps([asdict(port) for port in ports]))
        _write_includes(folder, ports, sources)
        progress(f"{name}: compiling C++ with {compiler.name}")
        _compile(compiler, verilator, cache, folder, ("-shared", "all.cpp", str(runtime)), LIBRARY)
        for path in folder.iterdir():
            if path.is_file() and path.name not in (LIBRARY, _PORTS):
                path.unlink()

    cache.entry("model", key, build)
    return key


def _runtime(compiler: Compiler, verilator: Verilator, cache: Cache, progress: Progress) -> Path:
    """Verilator's run-time library as an object file, made once for a compiler."""

    def build(folder: Path) -> None:
        if compiler.is_zig:
            progress("ziglang builds its C++ library: once, one to two minutes")
        else:
            progress(f"compiling Verilator's run-time library with {compiler.name}: once")
        (folder / "runtime.cpp").write_text(
            '#include "verilated.cpp"\n#include "verilated_threads.cpp"\n'
        )
        _compile(compiler, verilator, cache, folder, ("-c", "runtime.cpp"), "runtime.o")
        # The first link is what makes ziglang build its C++ library.
        _compile(compiler, verilator, cache, folder, ("-shared", "runtime.o"), "linked.so")
        (folder / "linked.so").unlink()

    key = toolchain_key(compiler, verilator)
    return cache.entry("runtime", key, build) / "runtime.o"


def shared_code(verilog: str) -> str:
    """Verilog whose modules of several instances are told to become one piece of code.

    Verilator would write each instance's code out, which for the columns of an array takes the C++
    compiler twice as long, and the processor's caches too.
    """
    instances = Counter(re.findall(r"^  (\S+)  ?\S+ \($", verilog, re.MULTILINE))

    def marked(header: re.Match) -> str:
        several = instances[header[1]] > 1
        return header[0] + ("\n  /*verilator no_inline_module*/" if several else "")

    return re.sub(r"^module (\S+) ?\([^;]*\);", marked, verilog, flags=re.MULTILINE)


def looped_contents(verilog: str) -> str:
    """Verilog whose memories get equal neighbouring first contents by a loop.

    Yosys writes one assignment a word, of which Verilator makes one function: for the 80,000 words
    of a weight memory that takes a C++ compiler half an hour.
    """

    def same(line: str) -> tuple[str, str]:
        memory, _, value = _ENTRY.match(line).groups()  # type: ignore[union-attr]
        return memory, value

    def looped(block: re.Match) -> str:
        result: list[str] = []
        for (memory, value), run in groupby(block[0].splitlines(), same):
            # Addresses follow one another.
            lines = list(run)
            first = int(_ENTRY.match(lines[0])[2])  # type: ignore[index]
            loop = f"    for (int i = {first}; i < {first + len(lines)}; i = i + 1)"
            result += [f"{loop} {memory}[i] = {value};"] if len(lines) > 1 else lines
        return "\n".join(result) + "\n"

    return _BLOCK.sub(looped, verilog)


def _verilate(verilog: str, name: str, verilator: Verilator, folder: Path) -> list[str]:
    """Write Verilator's C++ into the folder; the names of its source files."""
    (folder / "top.v").write_text(verilog)
    command = [str(verilator.binary), *_VERILATOR_FLAGS, "--top-module", name]
    done = subprocess.run(
        [*command, "--prefix", "Vtop", "--Mdir", ".", "top.v"],
        cwd=folder,
        env={**os.environ, "VERILATOR_ROOT": str(verilator.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        _check_disk(done.stderr)
        raise RuntimeError(f"Verilator refuses {name}: {_first_error(done.stderr)}")
    return sorted(path.name for path in folder.glob("Vtop*.cpp"))


def _read_ports(header: Path) -> list[Port]:
    # Verilator writes the two underscores of a name as ___05F.
    return [
        Port(name.replace("___05F", "__"), int(high) + 1, direction == "IN")
        for direction, name, high in _DECLARATION.findall(header.read_text())
    ]


def _write_includes(folder: Path, ports: list[Port], sources: list[str]) -> None:
    lines = [f"PORT({i}, {port.name.replace('__', '___05F')})" for i, port in enumerate(ports)]
    (folder / "ports.inc").write_text("\n".join(lines) + "\n")
    names = {port.name for port in ports}
    features = (
        ("CLOCKED", "clk" in names),
        ("BUS", names.issuperset(PORTS)),
        ("LITE", names.issuperset(LITE_PORTS)),
    )
    defines = [f"#define {feature}" for feature, present in features if present]
    includes = [f'#include "{source}"' for source in sources]
    (folder / "all.cpp").write_text("\n".join((*defines, *includes, _SHIM.read_text())))


def _compile(
    compiler: Compiler,
    verilator: Verilator,
    cache: Cache,
    folder: Path,
    inputs: tuple[str, ...],
    output: str,
) -> None:
    include = verilator.include
    scratch = folder / "zig"
    done = subprocess.run(
        [*compiler.command, *_COMPILER_FLAGS, *compiler.flags]
        + [f"-I{include}", f"-I{include / 'vltstd'}", *inputs, "-o", output],
        cwd=folder,
        # ziglang keeps its C++ library in the global folder, single compilations in the local one.
        env={
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(cache.folder / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(scratch),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(scratch, ignore_errors=True)
    if done.returncode:
        _check_disk(done.stderr)
        raise NoMulError(
            f"C++ compiler {compiler.name} failed: {_first_error(done.stderr)}; "
            f"set CXX to another C++17 compiler"
        )


def _check_disk(said: str) -> None:
    """Raise what the cache turns into its message, if a tool fails for want of space."""
    if "No space left" in said or "NoSpaceLeft" in said:
        raise OSError(errno.ENOSPC, "No space left on device")


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[0]
