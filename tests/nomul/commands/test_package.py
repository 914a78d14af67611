"""``nomul package``."""

import json

from rtl.design import Design
from tests.nomul.conftest import nomul


def test_a_program(files, tmp_path, monkeypatch):
    monkeypatch.setattr(Design, "verilog", lambda self: "module nomul(led);\nendmodule\n")
    folder, figures = tmp_path / "out", tmp_path / "figures.json"
    options = ("--board", "pynq-z2", "--network", files.program, "-o", folder)
    done = nomul("package", *options, "--json", figures)
    assert done.exit_code == 0, done.stderr
    found = json.loads(figures.read_text())
    assert (found["board"], found["architecture"]) == ("pynq-z2", "tiny")
    assert all((folder / name).is_file() for name in found["files"])
    assert "-period 10.000 " in (folder / "hdl/clock.xdc").read_text()
    slower = nomul("package", *options[:-1], tmp_path / "slower", "--clock", "80")
    assert slower.exit_code == 0, slower.stderr
    assert "-period 12.500 " in (tmp_path / "slower/hdl/clock.xdc").read_text()
    assert json.loads((tmp_path / "slower/package.json").read_text())["clock_mhz"] == 80
    # Once more: before any work.
    again = nomul("package", *options)
    assert again.exit_code == 1 and "exists; name another folder" in again.stderr


def test_a_quantized_graph_for_the_boards_machine(files, tmp_path, monkeypatch):
    monkeypatch.setattr(Design, "verilog", lambda self: "module nomul(led);\nendmodule\n")
    done = nomul(
        "package", "--board", "zedboard", "--network", files.qgraph, "-o", tmp_path / "out"
    )
    assert done.exit_code == 0, done.stderr
    description = json.loads((tmp_path / "out/package.json").read_text())
    assert description["architecture"] == "zynq7020"
    # The self-test is the same at every call.
    assert (tmp_path / "out/selftest.codes").stat().st_size > 4


def test_what_it_refuses(files, tmp_path):
    done = nomul("package", "--board", "pynq-z3", "--network", files.program)
    assert done.exit_code == 1 and "no board pynq-z3: take one of" in done.stderr
    done = nomul("package", "--board", "pynq-z2", "--network", tmp_path / "none")
    assert done.exit_code == 1 and "none is no file; make one with" in done.stderr
    options = ("--board", "pynq-z2", "--network", files.program, "--arch", "zynq7020")
    done = nomul("package", *options, "-o", tmp_path / "out")
    assert done.exit_code == 1 and "compile the network for zynq7020" in done.stderr
    assert not (tmp_path / "out").exists()
