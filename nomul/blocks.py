"""Every block of a machine by name, as it stands in the accelerator, to be looked at alone."""

import click

from quant.errors import NoMulError
from rtl.accelerator import Accelerator, blocks
from rtl.architecture import Architecture
from rtl.design import Design
from rtl.isa import Nest

__all__ = ["BLOCKS", "block", "block_option"]

BLOCKS = (
    "machine",
    "sequencer",
    *(f"nest_{nest.name.lower()}" for nest in Nest),
    "features",
    "fetch",
    "weights",
    "engine",
    "pool",
    "accumulator",
    "queue",
    "parameters",
    "post",
    "writeback",
)
"""Names, known before there is an architecture."""


def block(name: str, arch: Architecture, family: str | None = None) -> Design:
    """A block with the sizes of an architecture; the top module has its name.

    Errors: :class:`NoMulError` for a name that is neither a block nor the machine's engine.
    """
    key = "engine" if name == arch.engine else name
    kinds = {"machine": (Accelerator, (arch, family))} | blocks(arch, family)
    if key not in kinds:
        raise NoMulError(
            f"no block is named {name}; {arch.name} has {arch.engine}, {', '.join(BLOCKS)}"
        )
    kind, arguments = kinds[key]
    return Design(kind, arguments, name)


# Beside its choices, so that verbs without blocks need not load the hardware.
block_option = click.option(
    "--block",
    "name",
    default="machine",
    show_default=True,
    help=f"{', '.join(BLOCKS)}, or the engine's own name.",
)
