"""Mapped registers, the devices of Linux, and PYNQ, on files and objects that stand for them."""

import mmap
import os
import sys
import types

import numpy as np
import pytest

from boards import transports
from boards.transports import DevMem, Mapped, Pynq, Serial, Uio
from quant.errors import NoMulError
from rtl.registers import Register


def test_mapped_words():
    memory = bytearray(64)
    port = Mapped(memory)
    words = np.array([1, 0xFFFFFFFF, 0x12345678], np.uint32)
    port.write(3, words)
    np.testing.assert_array_equal(port.read(3, 3), words)
    assert bytes(memory) == bytes(12) + words.tobytes() + bytes(40)
    assert port.read(0, 0).dtype == np.uint32
    port.idle()


def test_the_physical_memory(monkeypatch):
    asked = []
    memory = bytearray(64)
    monkeypatch.setattr(
        transports,
        "mapped",
        lambda path, size, offset: asked.append((path, size, offset)) or memory,
    )
    DevMem(0x4000_0000).write(1, np.array([7], np.uint32))
    assert asked == [("/dev/mem", 1 << 28, 0x4000_0000)] and memory[4] == 7


def test_a_device_that_cannot_be_opened(tmp_path):
    with pytest.raises(NoMulError, match=r"none cannot be mapped \(No such file or directory\)"):
        transports.mapped(str(tmp_path / "none"), 4096, 0)


@pytest.fixture
def devices(tmp_path):
    """Two UIO devices; the second is the machine's. Its file takes and gives events as bytes."""
    size = mmap.PAGESIZE
    for number, name in enumerate(("other", "nomul")):
        node = tmp_path / "class" / f"uio{number}"
        (node / "maps/map0").mkdir(parents=True)
        (node / "name").write_text(f"{name}\n")
        (node / "maps/map0/size").write_text(f"{size:#x}\n")
        (tmp_path / f"uio{number}").write_bytes(bytes(size))
    return tmp_path


def test_uio(devices):
    port = Uio(folder=str(devices / "class"), devices=str(devices))
    port.write(Register.STOP_AFTER, np.array([5], np.uint32))
    assert (devices / "uio1").read_bytes()[4 * Register.STOP_AFTER] == 5
    allowed = []
    write = port.write
    port.write = lambda address, words: (
        allowed.append((address, int(words[0]))) or write(address, words)
    )
    port.idle()
    assert allowed == [(Register.INTERRUPT, 1), (Register.INTERRUPT, 0)]
    assert not any((devices / "uio0").read_bytes())
    os.close(port.events)


def test_no_uio_device(tmp_path):
    with pytest.raises(NoMulError, match="no UIO device is named nomul; load the device tree"):
        Uio(folder=str(tmp_path))


def test_pynq(monkeypatch):
    done = []
    memory = np.zeros(16, np.uint32)

    class Bitstream:
        def __init__(self, path):
            self.path = path

        def download(self):
            done.append(("download", self.path))

    def mmio(base, size):
        done.append((base, size))
        return types.SimpleNamespace(array=memory)

    module = types.SimpleNamespace(Bitstream=Bitstream, MMIO=mmio)
    monkeypatch.setitem(sys.modules, "pynq", module)
    port = Pynq("a/nomul.bit", 0x4000_0000)
    assert done == [("download", "a/nomul.bit"), (0x4000_0000, 1 << 28)]
    port.write(2, np.array([9], np.uint32))
    assert memory[2] == 9


def test_a_serial_port_that_is_not_there(monkeypatch):
    pytest.importorskip("serial")
    with pytest.raises(NoMulError, match="/dev/ttyNone cannot be opened"):
        Serial("/dev/ttyNone", 1_000_000)


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(NoMulError, match="serial is missing, which serial lines need: pip install"):
        Serial("/dev/ttyUSB0", 1_000_000)
    with pytest.raises(NoMulError, match="pynq is missing, which a board's transport pynq needs"):
        Pynq("nomul.bit", 0)
