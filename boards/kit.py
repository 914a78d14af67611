"""What is done on the board with a package: open the machine, check it, run images."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from boards.accelerator import Accelerator, Transport
from boards.buffers import Memory
from boards.clocks import PhysicalMemory, set_clock, set_memory_ports
from boards.image import Image
from boards.memories import DmaBuffer, PynqMemory
from boards.transports import DevMem, Pynq, Serial, Uio
from quant.errors import NoMulError

__all__ = ["DESCRIPTION", "IMAGE", "SELFTEST", "TRANSPORTS", "open_machine", "self_test"]

DESCRIPTION, IMAGE, SELFTEST = "package.json", "network.image", "selftest.codes"
"""Files of a package that the driver reads."""

TRANSPORTS = ("devmem", "uio", "pynq", "serial")


def transport_of(description: dict[str, Any], folder: Path, name: str, port: str) -> Transport:
    """The way to the machine; on a Zynq with its clock and the widths of its ports set."""
    host = description["host"]
    if (name == "serial") != ("baud" in host):
        raise NoMulError(f"{description['board']} has no transport {name}; take another")
    if name == "serial":
        return Serial(port, host["baud"])
    ways: dict[str, Callable[[], Transport]] = {
        "devmem": lambda: DevMem(host["base"]),
        "uio": Uio,
        "pynq": lambda: Pynq(folder / "nomul.bit", host["base"]),
    }
    opened = ways[name]()
    # With the bitstream loaded, and before the first access.
    wanted = (host["kind"], host["reference_mhz"], description["clock_mhz"])
    set_clock(PhysicalMemory(), *wanted)
    if description["memory_bytes"]:
        set_memory_ports(PhysicalMemory(), host["kind"])
    return opened


def memory_of(description: dict[str, Any], name: str) -> Memory | None:
    """External memory by the name of the transport; None for a network that takes none."""
    size = description["memory_bytes"]
    if not size:
        return None
    return PynqMemory(size) if name == "pynq" else DmaBuffer()


def open_machine(
    folder: str | Path = ".",
    transport: str | Transport = "devmem",
    port: str = "/dev/ttyUSB0",
    memory: Memory | None = None,
) -> Accelerator:
    """The machine of a package with its network in it.

    Parameters
    ----------
    folder : path
        The package.
    transport : str or Transport
        One of ``TRANSPORTS``, or an object that is one.
    port : str
        Of ``serial``.
    memory : Memory, optional
        External memory of a machine that has it; by default that of the named transport.

    Errors: :class:`NoMulError` for a missing file, a transport that cannot be opened, and where no
    machine answers.
    """
    folder = Path(folder)
    image = Image.from_bytes(content(folder / IMAGE), IMAGE)
    if isinstance(transport, str):
        description = json.loads(content(folder / DESCRIPTION))
        name, transport = transport, transport_of(description, folder, transport, port)
        memory = memory or memory_of(description, name)
    return Accelerator(transport, image, memory)


def content(path: Path) -> bytes:
    """A file's content."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NoMulError(f"{path} cannot be read ({error.strerror}); name the package") from error


def self_test(machine: Accelerator, folder: str | Path = ".") -> int:
    """Run the package's own images; how many there were.

    The file holds 32-bit words: the number of images, codes of all inputs, codes of all outputs.

    Errors: :class:`NoMulError` where a code is not the one that the program simulator gave.
    """
    words = np.frombuffer(content(Path(folder) / SELFTEST), "<i4")
    shapes = [
        (int(words[0]), *place.shape) for place in (machine.image.input, machine.image.output)
    ]
    sizes = [int(np.prod(shape)) for shape in shapes]
    if len(words) != 1 + sum(sizes):
        raise NoMulError(f"{SELFTEST} is not of this network; package the network again")
    parts = np.split(words[1:], [sizes[0]])
    inputs, outputs = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
    for number, (codes, expected) in enumerate(zip(inputs, outputs, strict=True)):
        found, _ = machine.run_codes(codes)
        wrong = np.argwhere(found != expected)
        if len(wrong):
            place = tuple(int(i) for i in wrong[0])
            raise NoMulError(
                f"image {number}: the output at {place} is {found[place]}, not {expected[place]}; "
                "check that the bitstream met its timing"
            )
    return len(inputs)


def main(arguments: list[str] | None = None) -> int:
    """The command line of the driver; its exit status."""
    parser = argparse.ArgumentParser(description="Run a NoMul machine on this board.")
    parser.add_argument("verb", choices=("selftest", "run"))
    parser.add_argument("--folder", default=".", help="the package (default: this folder)")
    parser.add_argument("--transport", choices=TRANSPORTS, default="devmem")
    parser.add_argument("--port", default="/dev/ttyUSB0", help="of the transport serial")
    parser.add_argument("--images", help="of run: a .npy file (count, channels, height, width)")
    parser.add_argument("--output", help="of run: the .npy file to write")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "run" and not (options.images and options.output):
            raise NoMulError("run takes --images and --output; name both")
        machine = open_machine(options.folder, options.transport, options.port)
        if options.verb == "selftest":
            print(f"{self_test(machine, options.folder)} images equal the simulator's")
        else:
            np.save(options.output, machine.run(np.load(options.images)))
    except NoMulError as error:
        print(f"nomul: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
