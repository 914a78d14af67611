"""The commands and the code of the README run as they stand there."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from tests.nomul.conftest import nomul

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


def blocks(language):
    return [text for kind, text in BLOCKS if kind == language]


def test_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "onnx_network.py"), run_name="__main__")
    (code,) = blocks("python")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["scores"].shape == (8, 10)
    assert (tmp_path / "model.program").exists()


def test_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = blocks("sh")
    lines = text.splitlines()
    assert len(lines) == 9
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "nomul"
        result = nomul(*arguments)
        assert result.exit_code == 0, f"{line}: {result.stderr}"


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["digits.py"])
def test_example(name, capsys):
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    text = capsys.readouterr().out
    assert "accuracy on the RTL: 9" in text and "layers equal" in text
