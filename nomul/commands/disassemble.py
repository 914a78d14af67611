"""``nomul disassemble``: a program's instructions."""

from collections import Counter
from typing import Any

import click

from compiler.disassemble import disassemble
from compiler.program import Program
from nomul.verb import Verb
from rtl.isa import decode

__all__ = ["command"]


@click.command("disassemble", cls=Verb)
@click.argument("program_file", metavar="PROGRAM")
def command(program_file: str) -> dict[str, Any]:
    """Print a program's instructions, layer by layer."""
    program = Program.load(program_file)
    # Not through rich: lines must not be folded.
    click.echo(disassemble(program), nl=False)
    opcodes = Counter(decode(int(word)).opcode.name for word in program.instructions)
    return {"instructions": len(program.instructions), "opcodes": dict(sorted(opcodes.items()))}
