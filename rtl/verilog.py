"""Amaranth to Verilog, through Yosys from the ``pyosys`` wheel, and the way to run Yosys."""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from amaranth.lib import wiring

from quant.errors import NoMulError
from rtl.merge import merge_equal_modules
from rtl.sharing import to_rtlil

__all__ = ["PROGRESS", "require_yosys", "run_yosys", "to_rtlil", "to_verilog"]

# A process of its own: pyosys prints to the terminal and ends the process on errors.
_RUN = "from pyosys import libyosys; libyosys.run_pass('script run.ys', libyosys.Design())"
PROGRESS = "progress: "
"""Begins the lines of a script's log that :func:`run_yosys` hands on."""

# Attributes that only say which Python line made a cell.
_INTERNAL = " ".join(
    f"-remove {name}"
    for name in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)


def require_yosys() -> str:
    """Version of the installed pyosys.

    Raises
    ------
    NoMulError
        If it is not installed.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise NoMulError(
            "pyosys is missing, which Verilog output, compiled simulation and synthesis need: "
            "pip install pyosys"
        )
    return metadata.version("pyosys")


def run_yosys(
    script: str,
    inputs: dict[str, str],
    outputs: tuple[str, ...],
    progress: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """Run a Yosys script in a folder of its own; the texts of the files that it wrote.

    Parameters
    ----------
    script : str
        Commands, one a line.
    inputs, outputs : names of files in the folder
    progress : function of str, optional
        Called with what the script says in ``log`` lines that begin with :data:`PROGRESS`.

    Raises
    ------
    NoMulError
        If pyosys is missing.
    RuntimeError
        If Yosys refuses the script, with what it said.
    """
    require_yosys()
    with tempfile.TemporaryDirectory(prefix="nomul-yosys-") as name:
        folder = Path(name)
        for file, text in inputs.items():
            (folder / file).write_text(text)
        (folder / "run.ys").write_text(script)
        command = [sys.executable, "-P", "-u", "-c", _RUN]
        with (
            (folder / "errors").open("w") as errors,
            subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                if progress is not None and line.startswith(PROGRESS):
                    progress(line.removeprefix(PROGRESS).strip())
        if process.returncode:
            said = [line for line in (folder / "errors").read_text().splitlines() if line.strip()]
            raise RuntimeError(f"Yosys failed: {said[-1] if said else process.returncode}")
        return {file: (folder / file).read_text() for file in outputs}


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component; ports are its members, joined by ``__``, and ``clk`` and ``rst``.

    Deterministic: the same component gives the same text on every machine.

    Raises
    ------
    NoMulError
        If pyosys is missing.
    ValueError
        If a clock domain is driven by nothing, which Verilog would hide.
    """
    script = "\n".join(
        (
            "read_rtlil in.il",
            "proc -nomux -norom",
            "memory_collect",
            f"attrmap {_INTERNAL}",
            f"attrmap -modattr {_INTERNAL}",
            "write_verilog -norename out.v",
        )
    )
    modules = merge_equal_modules(to_rtlil(component, name))
    text = run_yosys(script, {"in.il": modules}, ("out.v",))["out.v"]
    if "edge 1'h" in text:
        raise ValueError(f"{name}: a clock domain has no driver")
    # The first line names the compiler that Yosys was built with.
    return text.split("\n", 1)[1].lstrip("\n")
