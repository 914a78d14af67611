"""Packages: every file that a script names is there, ports and pins agree, scripts are read."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import tkinter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import boards.package
from boards.bitstream import Bitstream
from boards.board import Board, Processor, board_names, load_board
from boards.ecp5 import Routed
from boards.kit import open_machine, self_test
from boards.package import SelfTest, check_folder, package, write_folder
from boards.processor import PS7
from compiler.compile import compile
from compiler.program import Program
from quant.errors import NoMulError
from quant.graph import Window
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.design import Design
from rtl.peripheral import Peripheral
from sim.compiled import CompiledModel
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_codes, random_network


@pytest.fixture(scope="module")
def network() -> tuple[Program, SelfTest]:
    graph = random_network(3)
    codes = random_codes(graph, 2, np.random.default_rng(3))
    program = compile(graph, "tiny")
    return program, SelfTest(codes, run_reference(graph, codes)[program.output.name])


@pytest.fixture(scope="module")
def pynq(network, tmp_path_factory) -> Path:
    """A whole package with its real Verilog."""
    folder = tmp_path_factory.mktemp("packages") / "pynq"
    write_folder(folder, package(load_board("pynq-z2"), *network, "0.0"))
    return folder


def quick(board: Board, network, monkeypatch) -> dict[str, bytes]:
    """A package without its Verilog and bitstream, which other tests make."""
    monkeypatch.setattr(Design, "verilog", lambda self: "module nomul(led);\nendmodule\n")
    made = Bitstream(b"bits", Routed(60.0, 1, 2, 3, 4))
    monkeypatch.setattr(boards.package, "bitstream", lambda *_: made)
    return package(board, *network, "0.0")


class Vivado:
    """A Tcl interpreter whose commands are Vivado's, as far as a package uses them."""

    COMMANDS = (
        "read_verilog read_xdc synth_design opt_design place_design phys_opt_design route_design "
        "report_utilization report_timing_summary get_timing_paths get_property write_bitstream "
        "write_cfgmem set_property create_clock get_ports get_pins"
    )

    def __init__(self, slack: float = 0.5, paths: str = "path") -> None:
        self.calls: list[tuple[str, ...]] = []
        self.tcl = tkinter.Tcl()
        self.answers = {"get_property": str(slack), "get_timing_paths": paths}
        for name in self.COMMANDS.split():
            self.tcl.createcommand(name, lambda *words, name=name: self.call(name, *words))

    def call(self, name: str, *words: str) -> str:
        self.calls.append((name, *words))
        if name == "read_xdc":
            self.tcl.call("source", words[0])
        if name in ("get_ports", "get_pins"):
            return words[0].strip()
        return self.answers.get(name, "")

    def run(self, script: Path) -> None:
        self.tcl.call("info", "script", str(script))
        self.tcl.call("source", str(script))

    def of(self, name: str) -> list[tuple[str, ...]]:
        return [words for command, *words in self.calls if command == name]


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Tcl changes the process's folder."""
    monkeypatch.chdir(tmp_path)


def test_the_script_for_vivado(pynq, here):
    vivado = Vivado()
    vivado.run(pynq / "build_vivado.tcl")
    for command in ("read_verilog", "read_xdc"):
        for (name,) in vivado.of(command):
            assert (pynq / name).is_file()
    order = [name for name, *_ in vivado.calls if name.endswith("_design")]
    assert order == [
        "synth_design",
        "opt_design",
        "place_design",
        "phys_opt_design",
        "route_design",
    ]
    assert vivado.of("synth_design") == [["-top", "nomul", "-part", "xc7z020clg400-1"]]
    assert vivado.of("write_bitstream") == [["-force", "nomul.bit"]]
    assert vivado.calls[-1][0] == "write_cfgmem"
    verilog = (pynq / "hdl/nomul.v").read_text()
    ports = re.search(r"^module nomul\((.*?)\);", verilog, re.M)[1].split(", ")
    assert {name for (name,) in vivado.of("get_ports")} == set(ports) == {"led"}
    assert ["PACKAGE_PIN", "R14", "led"] in vivado.of("set_property")
    # The clock's pin is one of the instance ps.
    ((pin,),) = vivado.of("get_pins")
    assert pin == "ps/FCLKCLK[0]"
    assert re.search(r"^  PS7 ps \(\n(?s:.*?)\.FCLKCLK\(", verilog, re.M)
    assert vivado.of("create_clock") == [["-name", "nomul", "-period", "10.000", pin]]


def test_a_design_that_is_too_slow(pynq, here):
    with pytest.raises(tkinter.TclError, match=r"timing is not met: setup slack -0\.1 ns"):
        vivado = Vivado(slack=-0.1)
        vivado.run(pynq / "build_vivado.tcl")
    assert not vivado.of("write_bitstream")
    with pytest.raises(tkinter.TclError, match="no path is constrained"):
        Vivado(paths="").run(pynq / "build_vivado.tcl")


def test_the_hashes(pynq):
    description = json.loads((pynq / "package.json").read_text())
    files = {str(path.relative_to(pynq)) for path in pynq.rglob("*") if path.is_file()}
    assert files == {*description["files"], "package.json"}
    for name, digest in description["files"].items():
        assert sha256((pynq / name).read_bytes()).hexdigest() == digest
    assert description["host"]["base"] == 0x4000_0000


def test_its_driver_at_the_machine(pynq, network):
    """What the package holds runs on the RTL: image, self-test, and a wrong code is found."""
    design = Design(Peripheral, (load_architecture("tiny"),), "peripheral")
    model = CompiledModel.build(design)
    model.reset()
    machine = open_machine(pynq, model)
    assert self_test(machine, pynq) == 2
    words = np.frombuffer((pynq / "selftest.codes").read_bytes(), "<i4").copy()
    words[-1] ^= 1
    (pynq / "wrong").mkdir()
    (pynq / "wrong/selftest.codes").write_bytes(words.tobytes())
    with pytest.raises(NoMulError, match=r"image 1: the output at .* check that the bitstream"):
        self_test(machine, pynq / "wrong")
    (pynq / "wrong/selftest.codes").write_bytes(words[:-1].tobytes())
    with pytest.raises(NoMulError, match=r"selftest\.codes is not of this network"):
        self_test(machine, pynq / "wrong")
    shutil.rmtree(pynq / "wrong")


def test_the_driver_for_c_compiles(pynq, tmp_path):
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror")
    sources = [str(path) for path in (pynq / "driver").glob("*.c")]
    compiler = (sys.executable, "-m", "ziglang", "cc", *flags)
    subprocess.run([*compiler, *sources, "-lm", "-o", str(tmp_path / "example")], check=True)


@pytest.mark.parametrize("name", board_names())
def test_a_package_for_every_board(name, network, monkeypatch, here, tmp_path):
    board = load_board(name)
    files = quick(board, network, monkeypatch)
    write_folder(tmp_path / "package", files)
    readme = files["README.md"].decode()
    assert board.name in readme and "\n\n\n" not in readme
    # The README names every file of the package and no other one.
    named = set(re.findall(r"^\| `(.*?)` \|", readme, re.M))
    assert named == set(files)
    for script in (name for name in files if name.endswith(".sh")):
        subprocess.run(["sh", "-n", str(tmp_path / "package" / script)], check=True)
        assert (tmp_path / "package" / script).stat().st_mode & 0o111
        for path in re.findall(r"hdl/[\w.]+", files[script].decode()):
            assert path in files
    if isinstance(board.host, Processor):
        vivado = Vivado()
        vivado.run(tmp_path / "package/build_vivado.tcl")
        assert vivado.of("synth_design")[0][-1] == board.device
        assert ("build_openxc7.sh" in files) == (board.host.kind == "ps7")
        assert f"nomul@{board.host.base:x}" in files["nomul.dtso"].decode()
    else:
        faster = package(board, *network, "0.0", clock_mhz=75.0)
        assert json.loads(faster["package.json"])["host"]["clock_mhz"] == 75.0
        assert files["nomul.bit"] == b"bits" and "60.0 MHz" in readme
        limits = files["hdl/nomul.lpf"].decode()
        for port, pin in board.pins.items():
            assert f'LOCATE COMP "{port}" SITE "{pin.pin}";' in limits


@pytest.fixture(scope="module")
def tiled() -> tuple[Program, SelfTest]:
    """A network in external memory."""
    net = NetworkBuilder((5, 6, 6), np.random.default_rng(2), weight_bits=2)
    net.conv("input", 9, Window((3, 3), padding=(1, 1, 1, 1)))
    graph = net.graph("tiled")
    program = compile(graph, small_machine(feature_words=64, instruction_words=64))
    codes = random_codes(graph, 2, np.random.default_rng(3))
    return program, SelfTest(codes, run_reference(graph, codes)[program.output.name])


def test_a_network_in_external_memory(tiled, here, tmp_path):
    """Ports of the logic and of the primitive agree; script, overlay and steps are whole."""
    folder = tmp_path / "package"
    files = package(load_board("pynq-z2"), *tiled, "0.0")
    write_folder(folder, files)
    Vivado().run(folder / "build_vivado.tcl")
    assert json.loads(files["package.json"])["memory_bytes"] == 1 << 20
    overlay, readme = files["nomul.dtso"].decode(), files["README.md"].decode()
    assert "size = <0x100000>;" in overlay and overlay.count("{") == overlay.count("}")
    assert "takes 1 MiB of external memory" in readme and "cma=33M" in readme
    assert "\n\n\n" not in readme
    for prefix in PS7.memory:
        assert f".{prefix}WDATA(" in files["hdl/nomul.v"].decode()
    if shutil.which("iverilog"):
        # The engine's primitives are left out.
        command = ["iverilog", "-i", "-Wall", "-g2005", "-s", "nomul", "-o", tmp_path / "out"]
        sources = [folder / "hdl/nomul.v", Path(__file__).with_name("primitives.v")]
        done = subprocess.run([*command, *sources], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert " port " not in done.stderr.lower(), done.stderr
    model = CompiledModel.build(Design(Peripheral, (tiled[0].architecture,), "peripheral"))
    model.reset()
    model.memory.allocate(1 << 20)
    assert self_test(open_machine(folder, model, memory=model.memory), folder) == 2
    assert (model.memory.escapes, model.memory.violation) == (0, None)


def test_external_memory_that_a_board_does_not_have(tiled):
    with pytest.raises(NoMulError, match="ULX3S-85F has no ports to external memory; take a mach"):
        package(load_board("ulx3s-85f"), *tiled, "0.0")
    arch = tiled[0].architecture
    longer = dataclasses.replace(arch, external=dataclasses.replace(arch.external, burst=32))
    program = dataclasses.replace(tiled[0], architecture=longer)
    with pytest.raises(NoMulError, match=r"bursts of 32 beats, .* PYNQ-Z2 take 16; set"):
        package(load_board("pynq-z2"), program, tiled[1], "0.0")
    large = dataclasses.replace(tiled[0], external_words=1 << 26)
    with pytest.raises(NoMulError, match=r"takes 513 MiB of external memory, PYNQ-Z2 has 512 for"):
        package(load_board("pynq-z2"), large, tiled[1], "0.0")


def test_nothing_half_written(tmp_path, monkeypatch):
    files = {"a": b"1", "b/c": b"2"}
    write = Path.write_bytes

    def full(path, content):
        if path.name == "c":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoMulError, match=r"cannot be written \(No space left on device\); check"):
        write_folder(tmp_path / "out", files)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    write_folder(tmp_path / "out", files)
    with pytest.raises(NoMulError, match="out exists; name another folder, or remove it"):
        write_folder(tmp_path / "out", files)
    with pytest.raises(NoMulError, match=r"cannot be made: .* is no folder open to you"):
        check_folder(tmp_path / "none" / "out")
