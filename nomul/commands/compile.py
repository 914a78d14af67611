"""``nomul compile``: a quantized network to a program."""

from pathlib import Path
from typing import Any

import click

from compiler.compile import compile as compile_graph
from nomul.options import architecture_option, output_option
from nomul.output import console, stage
from nomul.programs import cycles_table, memory_table, program_figures
from nomul.sources import load_quantized
from nomul.verb import Verb
from rtl.architecture import load_architecture

__all__ = ["command"]


@click.command("compile", cls=Verb)
@click.argument("source")
@architecture_option
@output_option
def command(source: str, arch: str, output: Path | None) -> dict[str, Any]:
    """Compile a quantized network for a machine.

    SOURCE is a file that nomul quantize wrote. A network that does not fit is refused with the
    sizes.
    """
    architecture = load_architecture(arch)
    qgraph = load_quantized(source)
    with stage(f"Compile {qgraph.name} for {architecture.name}"):
        program = compile_graph(qgraph, architecture)
    cycles_table(program)
    memory_table(program)
    output = output or Path(f"{qgraph.name}.{architecture.name}.program")
    program.save(output)
    console.print(f"Program: {output}")
    return {"file": str(output), **program_figures(program)}
