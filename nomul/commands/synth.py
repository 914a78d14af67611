"""``nomul synth``: what a machine or a block takes of a part, and how deep its logic is."""

from typing import Any

import click

from boards.parts import load_part, part_names
from boards.synth import synthesize
from boards.timing import estimate, require_delays
from nomul.blocks import block, block_option
from nomul.options import architecture_option
from nomul.output import stage
from nomul.synthesis import ADVICE, synthesis_figures, synthesis_table
from nomul.timing import timing_figures, timing_table
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
@click.option("--timing", is_flag=True, help="Estimate the clock: longest paths, block by block.")
def command(arch: str, part_name: str | None, name: str, timing: bool) -> dict[str, Any]:
    """Synthesize a machine with Yosys and count what it takes of a part.

    With --timing also the longest paths of every block of a 7-series part; an estimate, because
    nothing is placed and routed. Fails where it needs more of anything than the part has, and says
    what to shrink.
    """
    architecture = load_architecture(arch)
    part = load_part(part_name or architecture.part)
    design = block(name, architecture, part.family)
    if timing:
        # Before minutes of synthesis, not after them.
        require_delays(part)
    with stage(f"Synthesize {name} of {architecture.name} for {part.name}") as progress:
        report = synthesize(design, part, progress.say)
    synthesis_table(report)
    figures = {"architecture": architecture.name, **synthesis_figures(report)}
    if timing:
        # Looked at alone, the engine is the top.
        engine = "" if name in ("engine", architecture.engine) else "engine"
        with stage(f"Estimate the timing of {name}") as progress:
            paths = estimate(design, part, engine, progress.say)
        timing_table(paths)
        figures |= timing_figures(paths)
    try:
        report.check(ADVICE)
    except NoMulError as error:
        raise Unmet(str(error), figures) from None
    return figures
