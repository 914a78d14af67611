"""The command line: one verb a stage of the chain."""

from importlib import import_module

import click

from nomul import __version__

__all__ = ["main"]

VERBS = {
    "demo": "Train, quantize, compile, verify and synthesize a small CNN.",
    "train": "Train a network, float or with weights of powers of two.",
    "quantize": "Quantize a trained network to integers.",
    "allocate": "Give every channel its width within a budget of bits or cycles.",
    "compile": "Compile a quantized network for a machine.",
    "run": "Run a network on images.",
    "verify": "Check every stage of the chain against the one before it.",
    "explore": "Search the best machines for a network on a part.",
    "verilog": "Write a block or a whole machine as Verilog.",
    "synth": "Synthesize a machine and count what it takes of a part.",
    "report": "Show where a program's cycles and memory go.",
    "disassemble": "Print a program's instructions.",
    "package": "Write a folder with all that a board needs for a network.",
    "doctor": "Say which tools were found and what each is for.",
}


class Verbs(click.Group):
    """Verbs by name; each is loaded when it is called, so that ``--help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return import_module(f"nomul.commands.{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nomul")
def main() -> None:
    """Trained CNNs as accelerators without multipliers for Zynq-class FPGAs."""
