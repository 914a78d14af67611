"""Pulling the cord: the package's driver is killed at any moment and started again.

The driver, the one file that goes to the board, runs in a process of its own. Its transport asks
this process, which has the simulated machine and goes on with it when the driver is gone.
"""

import socket
import struct
import subprocess
import sys

import numpy as np
import pytest

from boards.amalgam import amalgamated
from boards.driver import image_of
from compiler.compile import compile
from quant.reference import run_reference
from rtl.architecture import load_architecture
from rtl.design import Design
from rtl.peripheral import Peripheral
from sim.compiled import CompiledModel
from tests.external import small_machine
from tests.random_networks import random_codes, random_network

HEAD = struct.Struct("<cII")

DRIVER = """
import socket, struct, sys
import numpy as np
import nomul

HEAD = struct.Struct("<cII")
line = socket.socket(fileno=int(sys.argv[1]))

class Asking:
    def ask(self, kind, address, count, content, size):
        line.sendall(HEAD.pack(kind, address, count) + content)
        found = b""
        while len(found) < size:
            found += line.recv(size - len(found))
        return found

    def write(self, address, words):
        self.ask(b"w", address, len(words), words.astype("<u4").tobytes(), 1)

    def read(self, address, count):
        return np.frombuffer(self.ask(b"r", address, count, b"", 4 * count), "<u4")

    def idle(self):
        self.ask(b"i", 0, 0, b"", 1)

class Memory:
    base, size = int(sys.argv[2]), int(sys.argv[3])

    def write(self, offset, content):
        content = content.tobytes()
        asking.ask(b"W", offset, len(content), content, 1)

    def read(self, offset, count):
        return np.frombuffer(asking.ask(b"R", offset, count, b"", count), np.uint8)

asking = Asking()
machine = nomul.open_machine(".", asking, memory=Memory() if Memory.size else None)
codes = np.load("codes.npy")
np.save("found.npy", [machine.run_codes(image)[0] for image in codes])
"""


ARCHITECTURES = {
    "on chip": load_architecture("tiny"),
    "external": small_machine(feature_words=64, instruction_words=64),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def board(request, tmp_path_factory):
    """A machine, a package's folder for it, and what its images must give."""
    architecture = ARCHITECTURES[request.param]
    graph = random_network(3)
    codes = random_codes(graph, 3, np.random.default_rng(3))
    program = compile(graph, architecture)
    folder = tmp_path_factory.mktemp("board")
    (folder / "nomul.py").write_text(amalgamated())
    (folder / "driver.py").write_text(DRIVER)
    (folder / "network.image").write_bytes(image_of(program).to_bytes())
    np.save(folder / "codes.npy", codes)
    machine = CompiledModel.build(Design(Peripheral, (architecture,), "peripheral"))
    machine.reset()
    return machine, folder, run_reference(graph, codes)[program.output.name]


def received(line: socket.socket, size: int) -> bytes:
    """So many bytes; fewer where the other side has gone."""
    found = b""
    while len(found) < size:
        part = line.recv(size - len(found))
        if not part:
            break
        found += part
    return found


def serve(machine: CompiledModel, folder, last: int | None) -> int:
    """Answer a driver's requests until it ends, or kill it before it gets the answer ``last``."""
    own, other = socket.socketpair()
    memory = machine.memory
    place = (memory.base, memory.size) if memory else (0, 0)
    command = [sys.executable, "driver.py", *map(str, (other.fileno(), *place))]
    with own, subprocess.Popen(command, cwd=folder, pass_fds=[other.fileno()]) as driver:
        other.close()
        requests = 0
        while head := received(own, HEAD.size):
            kind, address, count = HEAD.unpack(head)
            answer = b"."
            if kind == b"w":
                content = received(own, 4 * count)
                # The cord may be pulled in the middle of a block.
                words = np.frombuffer(content, "<u4")[: None if requests != last else count // 2]
                machine.write(address, words)
            elif kind == b"r":
                answer = machine.read(address, count).tobytes()
            elif kind == b"W":
                content = np.frombuffer(received(own, count), np.uint8)
                half = count // 2 // 8 * 8
                memory.write(address, content[: None if requests != last else half])
            elif kind == b"R":
                answer = memory.read(address, count).tobytes()
            else:
                machine.tick(20)
            if requests == last:
                driver.kill()
                break
            requests += 1
            own.sendall(answer)
    assert driver.returncode == (-9 if last is not None else 0)
    return requests


def test_killed_at_any_request(board):
    machine, folder, expected = board
    whole = serve(machine, folder, None)
    np.testing.assert_array_equal(np.load(folder / "found.npy"), expected)
    assert whole > 40
    # While it checks, loads, writes the input, starts, waits, reads.
    for last in (0, 1, 3, 5, 6, 8, whole // 3, whole // 2, whole - 2):
        (folder / "found.npy").unlink(missing_ok=True)
        serve(machine, folder, last)
        assert not (folder / "found.npy").exists()
        machine.tick(100)
        serve(machine, folder, None)
        np.testing.assert_array_equal(np.load(folder / "found.npy"), expected)
