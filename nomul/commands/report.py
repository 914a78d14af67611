"""``nomul report``: where a program's cycles and memory go."""

from pathlib import Path
from typing import Any

import click

from compiler.program import Program
from nomul.options import plot_option
from nomul.output import console
from nomul.programs import cycles_table, memory_table, program_figures
from nomul.verb import Verb

__all__ = ["command"]


@click.command("report", cls=Verb)
@click.argument("program_file", metavar="PROGRAM")
@plot_option
def command(program_file: str, plot: Path | None) -> dict[str, Any]:
    """Show where a program's cycles and memory go, layer by layer.

    Cycles are predicted, which the hardware meets exactly. Busy is the share of multiply-add slots
    that the layer's terms fill.
    """
    program = Program.load(program_file)
    cycles_table(program)
    memory_table(program)
    if plot:
        from nomul.plots import plot_cycles

        plot_cycles(plot, program)
        console.print(f"Picture: {plot}")
    return program_figures(program)
