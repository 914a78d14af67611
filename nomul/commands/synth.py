"""``nomul synth``: what a machine or a block takes of a part."""

from typing import Any

import click

from boards.parts import load_part, part_names
from boards.synth import synthesize
from nomul.blocks import block, block_option
from nomul.options import architecture_option
from nomul.output import stage
from nomul.synthesis import ADVICE, synthesis_figures, synthesis_table
from nomul.verb import Unmet, Verb
from quant.errors import NoMulError
from rtl.architecture import load_architecture

__all__ = ["command"]


@click.command("synth", cls=Verb)
@architecture_option
@click.option(
    "--part",
    "part_name",
    metavar="PART",
    help=f"{', '.join(part_names())}; by default the architecture's own.",
)
@block_option
def command(arch: str, part_name: str | None, name: str) -> dict[str, Any]:
    """Synthesize a machine with Yosys and count what it takes of a part.

    Fails where it needs more of anything than the part has, and says what to shrink.
    """
    architecture = load_architecture(arch)
    part = load_part(part_name or architecture.part)
    design = block(name, architecture)
    with stage(f"Synthesize {name} of {architecture.name} for {part.name}") as progress:
        report = synthesize(design, part, progress.say)
    synthesis_table(report)
    figures = {"architecture": architecture.name, **synthesis_figures(report)}
    try:
        report.check(ADVICE)
    except NoMulError as error:
        raise Unmet(str(error), figures) from None
    return figures
