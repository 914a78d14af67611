"""A package: one folder with all that a board and its user need for a network."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from boards.amalgam import amalgamated
from boards.bitstream import bitstream, constraints, device_options
from boards.board import Board, Processor, Serial
from boards.buffers import buffer_places
from boards.driver import image_of
from boards.ecp5_system import Ecp5System
from boards.image import Image
from boards.kit import DESCRIPTION, IMAGE, SELFTEST
from boards.parts import load_part
from boards.register_map import c_header, register_map
from boards.xilinx import silent
from boards.zynq import KINDS, ZynqSystem
from quant.errors import NoMulError
from rtl.design import Design

__all__ = ["TOP", "SelfTest", "check_folder", "package", "write_folder"]

TOP = "nomul"
_FOLDER = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_C_SOURCES = ("nomul.h", "nomul_internal.h", "nomul.c", "nomul_image.c")
_C_LINUX = ("nomul_devmem.c", "nomul_udmabuf.c", "example.c")

LOW_MIB = 2048
"""Memory of a Zynq whose addresses have 32 bits."""

_TEXTS = {
    "hdl/nomul.v": "the whole logic, Verilog",
    "hdl/pins.xdc": "pins",
    "hdl/clock.xdc": "the clock to reach",
    "hdl/nomul.lpf": "pins and oscillator",
    "build_vivado.tcl": "builds the bitstream with Vivado",
    "build_openxc7.sh": "builds it with openXC7",
    "build_ecp5.sh": "builds the bitstream again",
    "nomul.bit": "the bitstream",
    "nomul.dtso": "device tree overlay: the machine for the transport uio, and external memory",
    IMAGE: "the network: instructions, weights, places of its input and output",
    SELFTEST: "images and the codes that they must give",
    DESCRIPTION: "what the driver needs to know of the board; hashes of the files",
    "registers.json": "map of the registers",
    "driver/nomul.py": "the driver for Python",
    "driver/nomul.h": "the driver for C",
    "driver/nomul.c": "its code, without a heap: the machine",
    "driver/nomul_image.c": "and the network's image",
    "driver/nomul_internal.h": "what these two share",
    "driver/nomul_devmem.c": "its way to the registers under Linux",
    "driver/nomul_udmabuf.c": "its way to external memory under Linux",
    "driver/nomul_registers.h": "the registers for C",
    "driver/example.c": "a program that runs the self-test",
    "README.md": "the steps",
}


@dataclass(frozen=True)
class SelfTest:
    """Codes of images and of what they give, ``[count, channels, height, width]`` each."""

    inputs: np.ndarray
    outputs: np.ndarray

    def to_bytes(self) -> bytes:
        """See ``boards.kit.self_test``."""
        parts = (np.array([len(self.inputs)]), self.inputs.reshape(-1), self.outputs.reshape(-1))
        return np.concatenate(parts).astype("<i4").tobytes()


def package(
    board: Board,
    program: Any,
    test: SelfTest,
    version: str,
    progress: Callable[[str], None] = silent,
    seed: int = 1,
    clock_mhz: float | None = None,
) -> dict[str, bytes]:
    """The files of a package by their names in its folder.

    Parameters
    ----------
    board : Board
    program : Program
        See ``compiler.program``.
    test : SelfTest
    version : str
        Of NoMul.
    progress : function of str
    seed : int
        Of the placer, where the bitstream is made here.
    clock_mhz : float, optional
        Of the machine; by default its architecture's or, where that is fixed, the board's.

    Errors: :class:`NoMulError` where a tool is missing, or the machine is too large or too slow for
    a board whose bitstream is made here; where the network takes external memory and the board has
    none for it, or too little.
    """
    arch, host = program.architecture, board.host
    image = image_of(program)
    memory_bytes = external_bytes(board, arch, image)
    if isinstance(host, Serial):
        host = replace(host, clock_mhz=clock_mhz or host.clock_mhz)
        board = replace(board, host=host)
        clock_mhz = host.clock_mhz
    clock_mhz = clock_mhz or arch.clock_mhz
    values: dict[str, Any] = {"board": board, "program": program, "top": TOP}
    values |= {"memory_bytes": memory_bytes, "memory_mib": memory_bytes >> 20}
    values |= {"clock_mhz": clock_mhz, "serial": isinstance(host, Serial), "mhz": None}
    make = _zynq if isinstance(host, Processor) else _ecp5
    files = make(board, arch, values, progress, seed)
    files |= {
        IMAGE: image.to_bytes(),
        SELFTEST: test.to_bytes(),
        "registers.json": f"{json.dumps(register_map(), indent=2)}\n".encode(),
        "driver/nomul.py": amalgamated().encode(),
        "driver/nomul_registers.h": c_header().encode(),
        **{
            f"driver/{name}": (_FOLDER / "c" / name).read_bytes()
            for name in _C_SOURCES + (_C_LINUX if isinstance(host, Processor) else ())
        },
    }
    named = sorted((*files, "README.md", DESCRIPTION))
    values["files"] = [(name, _TEXTS[name]) for name in named]
    files["README.md"] = _rendered("README.md", values)
    description = {
        "nomul": version,
        "board": board.key,
        "device": board.device,
        "network": program.name,
        "architecture": arch.name,
        "fingerprint": f"{arch.fingerprint:#010x}",
        "clock_mhz": clock_mhz,
        "memory_bytes": memory_bytes,
        "host": {key: value for key, value in asdict(host).items() if key != "source"},
        "files": {name: hashlib.sha256(text).hexdigest() for name, text in sorted(files.items())},
    }
    files[DESCRIPTION] = f"{json.dumps(description, indent=2)}\n".encode()
    return files


def external_bytes(board: Board, arch: Any, image: Image) -> int:
    """External memory to reserve for a network, whole MiB; 0 for a machine without.

    Errors: :class:`NoMulError` where the board has none at its ports, or not so much, or its ports
    do not take bursts as long as the machine's.
    """
    if not image.buffers:
        return 0
    if not isinstance(board.host, Processor):
        raise NoMulError(
            f"{board.name} has no ports to external memory; take a machine without [external]"
        )
    most = 1 << KINDS[board.host.kind].length_bits
    if arch.external.burst > most:
        raise NoMulError(
            f"{arch.name} makes bursts of {arch.external.burst} beats, the memory ports of "
            f"{board.name} take {most}; set burst = {most} in its architecture file"
        )
    size = -(-buffer_places(image)[1] >> 20) << 20
    if size > min(board.memory.megabytes, LOW_MIB) << 20:
        raise NoMulError(
            f"the network takes {size >> 20} MiB of external memory, {board.name} has "
            f"{board.memory.megabytes} for all that runs there; use a smaller network"
        )
    return size


def _rendered(name: str, values: dict[str, Any]) -> bytes:
    return _TEMPLATES.get_template(f"{name}.j2").render(values).encode()


def _zynq(
    board: Board, arch: Any, values: dict[str, Any], progress: Callable[[str], None], seed: int
) -> dict[str, bytes]:
    host = board.host
    assert isinstance(host, Processor)
    family = load_part(board.part).family
    design = Design(ZynqSystem, (arch, family, host.kind, host.base, "led" in board.pins), TOP)
    progress(f"{arch.name}: Verilog")
    values |= {"ports": sorted(board.pins), "clock_pin": f"{KINDS[host.kind].clock}[0]"}
    scripts = {"build_vivado.tcl": "build_vivado.tcl", "nomul.dtso": "nomul.dtso"}
    scripts |= {"hdl/pins.xdc": "pins.xdc", "hdl/clock.xdc": "clock.xdc"}
    if host.kind == "ps7":
        scripts["build_openxc7.sh"] = "build_openxc7.sh"
    return {
        "hdl/nomul.v": design.verilog().encode(),
        **{name: _rendered(template, values) for name, template in scripts.items()},
    }


def _ecp5(
    board: Board, arch: Any, values: dict[str, Any], progress: Callable[[str], None], seed: int
) -> dict[str, bytes]:
    host = board.host
    assert isinstance(host, Serial)
    design = Design(Ecp5System, (arch, host.reference_mhz, host.clock_mhz, host.baud), TOP)
    made = bitstream(board, design, seed, progress)
    values |= {"options": device_options(board), "mhz": made.routed.mhz}
    return {
        "hdl/nomul.v": design.verilog().encode(),
        "hdl/nomul.lpf": constraints(board).encode(),
        "nomul.bit": made.content,
        "build_ecp5.sh": _rendered("build_ecp5.sh", values),
    }


def check_folder(path: Path) -> None:
    """Refuse a folder that :func:`write_folder` could not make, before the work.

    Errors: :class:`NoMulError` where it exists, or its parent is missing or closed.
    """
    if path.exists():
        raise NoMulError(f"{path} exists; name another folder, or remove it")
    parent = path.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise NoMulError(f"{path} cannot be made: {parent} is no folder open to you")


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    """Make a folder with these files, whole or not at all. Scripts can be executed.

    Errors: :class:`NoMulError` as of :func:`check_folder`, and where the disk is full.
    """
    check_folder(path)
    try:
        work = Path(tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}."))
        try:
            for name, content in files.items():
                target = work / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                target.chmod(0o755 if name.endswith(".sh") else 0o644)
            work.chmod(0o755)
            work.rename(path)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    except OSError as error:
        raise NoMulError(
            f"{path} cannot be written ({error.strerror}); check the folder and its free space"
        ) from error
