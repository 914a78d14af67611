"""A machine on the ULX3S-85F: ``python -m benchmarks.ulx3s [--arch NAME] [--json FILE]``.

The whole logic of the board, placed and routed by open tools: the machine's highest clock, what it
takes of the device, and the bytes of the bitstream. ``tiny`` takes minutes, ``ulx3s`` half an hour.
"""

from collections.abc import Callable
from typing import Any

import click

from boards.bitstream import bitstream
from boards.board import Serial, load_board
from boards.ecp5 import require_nextpnr
from boards.ecp5_system import Ecp5System
from nomul.output import stage, table
from nomul.verb import Verb
from rtl.architecture import Architecture, load_architecture
from rtl.design import Design

__all__ = ["BOARD", "main", "routed"]

BOARD = "ulx3s-85f"
AVAILABLE = {"comb": 83640, "ff": 83640, "bram": 208, "dsp": 156}
"""Of the LFE5U-85F: DS-02012."""


def routed(architecture: Architecture, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """A machine's bitstream for the board: MHz, what it takes, bytes; from the cache if there."""
    board = load_board(BOARD)
    version = require_nextpnr()
    host = board.host
    assert isinstance(host, Serial)
    arguments = (architecture, host.reference_mhz, host.clock_mhz, host.baud)
    made = bitstream(board, Design(Ecp5System, arguments, "nomul"), seed, say)
    used = {f"ecp5.{name}": getattr(made.routed, name) for name in AVAILABLE}
    return {
        "architecture": architecture.name,
        "device": board.device,
        "nextpnr": version,
        "macs_per_cycle": architecture.macs_per_cycle,
        "ecp5.mhz": made.routed.mhz,
        **used,
        "ecp5.bytes": len(made.content),
    }


@click.command(cls=Verb)
@click.option("--arch", default="ulx3s", show_default=True, metavar="NAME|FILE")
@click.option("--seed", type=click.IntRange(1), default=1, show_default=True)
def main(arch: str, seed: int) -> dict[str, Any]:
    """Make a machine's bitstream for the ULX3S-85F, and say what it takes and how fast it is."""
    board, architecture = load_board(BOARD), load_architecture(arch)
    host = board.host
    assert isinstance(host, Serial)
    with stage(f"Make the bitstream of {architecture.name} for {board.name}") as progress:
        found = routed(architecture, seed, progress.say)
    rows = [(name, found[f"ecp5.{name}"], total) for name, total in AVAILABLE.items()]
    mhz = found["ecp5.mhz"]
    table(
        f"{architecture.name} on {board.name}: {mhz:.1f} MHz, {host.clock_mhz:.0f} wanted",
        ["resource", "used", "of", "share"],
        [[name, used, total, used / total] for name, used, total in rows],
    )
    return found


if __name__ == "__main__":
    main()
