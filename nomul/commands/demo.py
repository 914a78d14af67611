"""``nomul demo``: the whole chain on handwritten digits."""

from typing import Any

import click

from nomul.demo import run_demo
from nomul.verb import Unmet, Verb

__all__ = ["command"]


@click.command("demo", cls=Verb)
def command() -> dict[str, Any]:
    """Train a small CNN on handwritten digits and take it through the whole chain.

    It is quantized to signed powers of two, compiled, run on the RTL with every layer of every
    held-out image compared, and synthesized. The first time tools are unpacked and the machine is
    compiled, which takes some minutes; after that about half a minute.
    """
    demo = run_demo()
    demo.show()
    problem = demo.problem()
    if problem is not None:
        raise Unmet(problem, demo.figures())
    return demo.figures()
