"""``nomul package``: one folder with all that a board needs for a network."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from boards.board import board_names, load_board
from boards.package import SelfTest, check_folder, package, write_folder
from compiler.compile import compile as compile_graph
from compiler.program import KIND as PROGRAM
from compiler.program import Program
from nomul import __version__
from nomul.output import console, plural, stage, table
from nomul.sources import file_kind, load_quantized
from nomul.verb import Verb
from quant.errors import NoMulError
from quant.numbers import dequantize, quantize
from rtl.architecture import load_architecture
from sim.simulators import program_simulator

__all__ = ["command"]

TESTS = 2
"""Images of the self-test."""


@click.command("package", cls=Verb)
@click.option("--board", "board_name", required=True, help=f"{', '.join(board_names())}.")
@click.option(
    "--network",
    "source",
    required=True,
    metavar="FILE",
    help="A program, or a quantized graph, which is compiled first.",
)
@click.option(
    "--arch",
    metavar="NAME|FILE",
    help="The machine to compile for; by default the board's own. A program knows its own.",
)
@click.option(
    "--seed", type=click.IntRange(1), default=1, show_default=True, help="Of the placer, on ECP5."
)
@click.option(
    "--clock",
    type=click.FloatRange(1, 1000),
    metavar="MHZ",
    help="The machine's clock; by default its architecture's, or the board's on ECP5.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The folder to make; by default NETWORK.BOARD.",
)
def command(
    board_name: str,
    source: str,
    arch: str | None,
    seed: int,
    clock: float | None,
    output: Path | None,
) -> dict[str, Any]:
    """Write a folder with Verilog, build scripts, network, driver and the steps for a board.

    For an ECP5 board the bitstream is made too.
    """
    board = load_board(board_name)
    program = program_of(source, arch, board.architecture)
    folder = output or Path(f"{program.name}.{board.key}")
    check_folder(folder)
    with stage("Run images for the self-test") as progress:
        test = self_test(program)
    with stage(f"Package {program.name} for {board.name}") as progress:
        files = package(board, program, test, __version__, progress.say, seed, clock)
        write_folder(folder, files)
    table(
        f"{program.name} for {board.name}",
        ["file", "bytes"],
        [[name, len(content)] for name, content in sorted(files.items())],
    )
    console.print(f"{plural(len(files), 'file')} in {folder}; README.md says the steps")
    return {
        "folder": str(folder),
        "board": board.key,
        "device": board.device,
        "architecture": program.architecture.name,
        "files": sorted(files),
    }


def program_of(source: str, arch: str | None, default: str) -> Program:
    """The program in a file, or that of a quantized graph."""
    if file_kind(source) == PROGRAM:
        return Program.load(source, arch)
    if not Path(source).is_file():
        raise NoMulError(f"{source} is no file; make one with nomul quantize or nomul compile")
    qgraph = load_quantized(source)
    machine = load_architecture(arch or default)
    with stage(f"Compile {qgraph.name} for {machine.name}"):
        return compile_graph(qgraph, machine)


def self_test(program: Program) -> SelfTest:
    """Random images, the same at every call, and what the program simulator makes of them."""
    form = program.input.format
    values = np.random.default_rng(0).integers(
        form.low, form.high + 1, (TESTS, *program.input.shape)
    )
    values = quantize(dequantize(values, form.fraction), form)
    outputs = program_simulator(program, TESTS).run(values).outputs
    return SelfTest(values.astype(np.int32), outputs.astype(np.int32))
