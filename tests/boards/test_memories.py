"""External memory of Linux and of PYNQ, on files and objects that stand for them."""

import os
import sys
import types

import numpy as np
import pytest

from boards.memories import DmaBuffer, PynqMemory
from quant.errors import NoMulError

SIZE = 1 << 16


@pytest.fixture
def device(tmp_path):
    """The files of u-dma-buf: one of the class, one that is the memory itself."""
    entry = tmp_path / "class" / "nomul-memory"
    entry.mkdir(parents=True)
    (entry / "phys_addr").write_text("0x000000001e900000\n")
    (entry / "size").write_text(f"{SIZE}\n")
    (tmp_path / "nomul-memory").write_bytes(bytes(SIZE))
    return {"folder": str(tmp_path / "class"), "devices": str(tmp_path)}


def test_a_dma_buffer(device, monkeypatch):
    opened = []
    opens = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: opened.append(flags) or opens(path, flags))
    memory = DmaBuffer(**device)
    assert (memory.base, memory.size) == (0x1E900000, SIZE)
    # Without it the module leaves the caches as they are.
    assert opened[0] & os.O_SYNC == os.O_SYNC
    words = np.arange(2000, dtype="<u4").reshape(-1, 8)
    memory.write(64, words)
    np.testing.assert_array_equal(memory.read(64, words.nbytes), words.view(np.uint8).reshape(-1))
    assert not memory.read(0, 64).any() and memory.read(8, 0).size == 0
    # Calls may move less than they are asked for.
    write, read = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda file, part, at: write(file, part[:1000], at))
    monkeypatch.setattr(os, "preadv", lambda file, parts, at: read(file, [parts[0][:900]], at))
    memory.write(8, words[::-1])
    expected = np.ascontiguousarray(words[::-1]).view(np.uint8).reshape(-1)
    np.testing.assert_array_equal(memory.read(8, words.nbytes), expected)
    with pytest.raises(NoMulError, match=f"ends at byte {SIZE}, of {SIZE}; reserve more"):
        memory.read(SIZE - 8, 16)
    os.close(memory.file)


def test_no_dma_buffer(device, tmp_path):
    with pytest.raises(NoMulError, match=r"no memory other .No such file.* load the module u-dma"):
        DmaBuffer("other", **device)


def test_pynq(monkeypatch):
    done = []

    class Buffer(np.ndarray):
        device_address = 0x1234_5000

        def flush(self):
            done.append(("flush", self.nbytes))

        def invalidate(self):
            done.append(("invalidate", self.nbytes))

    allocate = lambda shape, dtype: np.zeros(shape, dtype).view(Buffer)  # noqa: E731
    monkeypatch.setitem(sys.modules, "pynq", types.SimpleNamespace(allocate=allocate))
    memory = PynqMemory(SIZE)
    assert (memory.base, memory.size) == (0x1234_5000, SIZE)
    words = np.arange(6, dtype="<u4").reshape(3, 2)
    memory.write(16, words)
    found = memory.read(16, 24)
    assert type(found) is np.ndarray and done == [("flush", 24), ("invalidate", 24)]
    np.testing.assert_array_equal(found.view("<u4").reshape(3, 2), words)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(NoMulError, match="pynq is missing, which a board's transport pynq needs"):
        PynqMemory(SIZE)
