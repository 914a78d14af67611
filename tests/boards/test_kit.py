"""The driver's command line and what it opens."""

import json

import numpy as np
import pytest

from boards import kit
from boards.kit import TRANSPORTS, main, memory_of, open_machine, transport_of
from quant.errors import NoMulError

ZYNQ = {
    "board": "pynq-z2",
    "clock_mhz": 100.0,
    "memory_bytes": 1 << 20,
    "host": {"kind": "ps7", "base": 0x4000_0000, "reference_mhz": 50.0},
}
SERIAL = {"board": "ulx3s-85f", "clock_mhz": 50.0, "host": {"baud": 1_000_000}}


@pytest.mark.parametrize("name", TRANSPORTS)
def test_the_way_to_a_machine(name, monkeypatch, tmp_path):
    done = []
    for kind in ("DevMem", "Uio", "Pynq", "Serial"):
        monkeypatch.setattr(kit, kind, lambda *a, kind=kind: done.append((kind, *a)) or kind)
    monkeypatch.setattr(kit, "set_clock", lambda _, *a: done.append(("clock", *a)))
    monkeypatch.setattr(kit, "set_memory_ports", lambda _, *a: done.append(("ports", *a)))
    description = SERIAL if name == "serial" else ZYNQ
    found = transport_of(description, tmp_path, name, "/dev/ttyX")
    prepared = [("clock", "ps7", 50.0, 100.0), ("ports", "ps7")]
    assert (found, done) == {
        "devmem": ("DevMem", [("DevMem", 0x4000_0000), *prepared]),
        "uio": ("Uio", [("Uio",), *prepared]),
        "pynq": ("Pynq", [("Pynq", tmp_path / "nomul.bit", 0x4000_0000), *prepared]),
        "serial": ("Serial", [("Serial", "/dev/ttyX", 1_000_000)]),
    }[name]
    other = ZYNQ if name == "serial" else SERIAL
    with pytest.raises(NoMulError, match=f"has no transport {name}; take another"):
        transport_of(other, tmp_path, name, "")


@pytest.mark.parametrize("name", ("devmem", "uio", "pynq"))
def test_the_memory_of_a_transport(name, monkeypatch):
    monkeypatch.setattr(kit, "DmaBuffer", lambda: "u-dma-buf")
    monkeypatch.setattr(kit, "PynqMemory", lambda size: size)
    assert memory_of(ZYNQ, name) == (1 << 20 if name == "pynq" else "u-dma-buf")
    assert memory_of(ZYNQ | {"memory_bytes": 0}, name) is None


def test_ports_that_a_network_does_not_use_are_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(kit, "DevMem", lambda base: "transport")
    for name in ("set_clock", "set_memory_ports"):
        monkeypatch.setattr(kit, name, lambda _, *a, name=name: done.append(name))
    done = []
    transport_of(ZYNQ | {"memory_bytes": 0}, tmp_path, "devmem", "")
    assert done == ["set_clock"]


def test_a_folder_that_is_no_package(tmp_path):
    with pytest.raises(NoMulError, match=r"network\.image cannot be read .* name the package"):
        open_machine(tmp_path)
    (tmp_path / "network.image").write_bytes(b"x" * 64)
    (tmp_path / "package.json").write_text(json.dumps(ZYNQ))
    with pytest.raises(NoMulError, match=r"network\.image is no image of a network"):
        open_machine(tmp_path)


class Doubler:
    """Stands for a machine."""

    def run(self, images):
        return 2 * images


def test_its_verbs(monkeypatch, tmp_path, capsys):
    opened = []
    monkeypatch.setattr(kit, "open_machine", lambda *a: opened.append(a) or Doubler())
    monkeypatch.setattr(kit, "self_test", lambda machine, folder: 7)
    assert main(["selftest", "--folder", "here", "--transport", "uio"]) == 0
    assert opened == [("here", "uio", "/dev/ttyUSB0")]
    assert capsys.readouterr().out == "7 images equal the simulator's\n"
    images, output = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(images, np.ones((2, 3)))
    assert main(["run", "--images", str(images), "--output", str(output)]) == 0
    np.testing.assert_array_equal(np.load(output), np.full((2, 3), 2.0))


def test_its_errors(tmp_path, capsys):
    assert main(["run", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "nomul: run takes --images and --output; name both\n"
    assert main(["selftest", "--folder", str(tmp_path)]) == 1
    assert "network.image cannot be read" in capsys.readouterr().err
