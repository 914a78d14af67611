"""The driver as one file needs nothing of the project, and is the project's code."""

import inspect
import subprocess
import sys

import pytest

import boards.amalgam
from boards.accelerator import Accelerator
from boards.amalgam import amalgamated
from boards.image import Image
from boards.transports import Serial

ALONE = """
import sys
import nomul
print({name.split(".")[0] for name in sys.modules} & {"quant", "rtl", "boards", "serial", "pynq"})
print(hex(nomul.ID), nomul.Format(8, True, 1).high, nomul.pieces(40))
"""


def test_it_runs_alone(tmp_path):
    (tmp_path / "nomul.py").write_text(amalgamated())
    (tmp_path / "alone.py").write_text(ALONE)
    command = (sys.executable, "-W", "error", "alone.py")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["set()", "0x4e6f4d75 127 2"]


@pytest.mark.parametrize("kind", [Accelerator, Image, Serial])
def test_its_code_is_the_projects(kind):
    assert inspect.getsource(kind) in amalgamated()


def test_its_command_line(tmp_path):
    (tmp_path / "nomul.py").write_text(amalgamated())
    command = (sys.executable, "nomul.py", "selftest", "--folder", "nowhere")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("nomul: nowhere/network.image cannot be read")


def test_what_it_refuses(monkeypatch):
    monkeypatch.setattr(boards.amalgam, "MODULES", ("rtl.packing", "boards.image"))
    with pytest.raises(ValueError, match=r"boards\.image imports quant\.errors, which is not in"):
        amalgamated()
    monkeypatch.setattr(boards.amalgam, "MODULES", ("rtl.packing", "quant.errors", "sim.bus"))
    monkeypatch.setattr(boards.amalgam, "assigns", lambda node: ["same"])
    with pytest.raises(ValueError, match=r"rtl\.packing and quant\.errors define same"):
        amalgamated()
