"""The way from Verilog to a library: what is kept, and what is said when a step fails."""

import stat

import pytest

from quant.errors import NoMulError
from rtl.cache import Cache
from sim import verilator
from sim.compiled import CompiledModel
from sim.toolchain import find_verilator
from sim.verilator import Port, build_library, looped_contents
from tests.sim.test_models import DESIGN


def test_ports():
    sizes = {1: 1, 8: 1, 9: 2, 32: 4, 33: 8, 64: 8, 65: 12, 100: 16}
    assert {width: Port("p", width, True).bytes for width in sizes} == sizes
    model = CompiledModel.build(DESIGN)
    assert model.ports["bus__address"] == Port("bus__address", 26, True)
    assert model.ports["bus__read_valid"] == Port("bus__read_valid", 1, False)
    assert model.ports["echo"].width == 100


def test_hit_does_not_elaborate(monkeypatch):
    CompiledModel.build(DESIGN)
    said = []
    monkeypatch.setattr(type(DESIGN), "verilog", lambda self: pytest.fail("elaborated"))
    CompiledModel.build(DESIGN, progress=said.append)
    assert said == []


def test_equal_verilog_is_compiled_once(monkeypatch):
    cache = Cache()
    text = DESIGN.verilog()
    key = build_library(text, DESIGN.name, cache, lambda message: None)
    monkeypatch.setattr(verilator, "_compile", lambda *arguments: pytest.fail("compiled"))
    assert build_library(text, DESIGN.name, cache, lambda message: None) == key


def test_equal_contents_of_a_memory_become_a_loop():
    """Neighbours that are equal, of one memory; others stay, and so does all else."""
    words = ["  initial begin", *(f"    a[{n}] = 8'h00;" for n in range(70)), "    a[70] = 8'h01;"]
    words += ["    b[0] = 8'h01;", "    b[1] = 8'h01;", "  end", "    o[3] = x;", ""]
    assert looped_contents("\n".join(words)).splitlines() == [
        "  initial begin",
        "    for (int i = 0; i < 70; i = i + 1) a[i] = 8'h00;",
        "    a[70] = 8'h01;",
        "    for (int i = 0; i < 2; i = i + 1) b[i] = 8'h01;",
        "  end",
        "    o[3] = x;",
    ]


def test_verilator_refuses(tmp_path):
    with pytest.raises(RuntimeError, match="Verilator refuses broken: %Error"):
        verilator._verilate("module broken(; endmodule", "broken", find_verilator(), tmp_path)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("x.cpp:1: fatal error: no <cstdint>", r"CXX failed: x.cpp:1: .*; set CXX to another"),
        ("/x: No space left on device", r"cache folder .* is full: free space there"),
    ],
)
def test_failing_compiler(tmp_path, monkeypatch, said, message):
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(NoMulError, match=message):
        CompiledModel.build(DESIGN, cache=Cache(tmp_path / "cache"))
    assert not list((tmp_path / "cache").glob("*/*/manifest.json"))


def test_library_that_does_not_load(tmp_path):
    (tmp_path / "model.so").write_text("no library")
    with pytest.raises(NoMulError, match=r"cannot load .*model.so .*set NOMUL_CACHE to a folder"):
        CompiledModel(tmp_path, "machine")
