"""``nomul verilog``: a block or a whole machine as Verilog."""

from pathlib import Path
from typing import Any

import click

from boards.resources import FAMILIES
from nomul.blocks import block, block_option
from nomul.options import architecture_option, output_option
from nomul.output import console, stage
from nomul.verb import Verb
from quant.files import write_bytes
from rtl.architecture import load_architecture

__all__ = ["command"]


@click.command("verilog", cls=Verb)
@architecture_option
@block_option
@click.option(
    "--family",
    type=click.Choice(FAMILIES),
    help="FPGA family whose primitives may be used, such as xc7; generic Verilog without.",
)
@output_option
def command(arch: str, name: str, family: str | None, output: Path | None) -> dict[str, Any]:
    """Write a block or a whole machine as Verilog.

    The top module has the block's name; its ports are the members of the block, joined by "__",
    and clk and rst.
    """
    architecture = load_architecture(arch)
    design = block(name, architecture, family)
    with stage(f"Convert {name} of {architecture.name}"):
        text = design.verilog()
    output = output or Path(f"{architecture.name}_{name}.v")
    write_bytes(output, text.encode())
    modules = text.count("\nendmodule")
    console.print(f"Verilog: {output} ({text.count(chr(10)):,} lines, {modules} modules)")
    return {"file": str(output), "top": design.name, "modules": modules}
