"""``nomul doctor``: which tools were found, and what each is needed for."""

from typing import Any

import click

from nomul import __version__
from nomul.output import messages, stage, table
from nomul.verb import Unmet, Verb
from rtl.cache import Cache
from sim.toolchain import tools

__all__ = ["command"]


@click.command("doctor", cls=Verb)
def command() -> dict[str, Any]:
    """Say which tools were found, their versions and what each is needed for.

    Fails where a tool that something needs is missing.
    """
    with stage("Look for tools"):
        found = tools()
    table(
        f"NoMul {__version__}, cache {Cache().folder}",
        ["tool", "found", "version", "needed for"],
        [[tool.name, tool.found, tool.version or "missing", tool.purpose] for tool in found],
        left=4,
    )
    figures = {"tools": [tool.to_dict() for tool in found], "cache": str(Cache().folder)}
    missing = [tool for tool in found if not tool.found]
    needed = [tool for tool in missing if "optional" not in tool.purpose]
    for tool in missing:
        messages.print(f"{tool.name} is missing: {tool.remedy}")
    if needed:
        raise Unmet(
            f"{', '.join(tool.name for tool in needed)} missing; see the remedies above", figures
        )
    return figures
