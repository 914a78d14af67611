"""What all verbs of the command line share: ``--json``, ``--debug`` and how failures end."""

import sys
from typing import Any

import click
from rich.markup import escape

from nomul.output import messages, write_json
from quant.errors import NoMulError

__all__ = ["Unmet", "Verb"]

FAILED, DEFECT, INTERRUPTED = 1, 3, 130


class Unmet(NoMulError):
    """A check that failed after everything was measured: its figures are still written."""

    def __init__(self, message: str, figures: dict[str, Any]) -> None:
        super().__init__(message)
        self.figures = figures


class Verb(click.Command):
    """A command whose function returns its figures, a dict that ``--json`` writes.

    Exit status: 0; 1 where the user can mend it (:class:`NoMulError`, one line on standard
    error); 2 for wrong usage; 3 for a defect of NoMul; 130 when interrupted.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["--json", "json_file"],
                type=click.Path(dir_okay=False),
                help="Write the figures to this file as JSON.",
            ),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    def invoke(self, ctx: click.Context) -> None:
        json_file, debug = ctx.params.pop("json_file"), ctx.params.pop("debug")
        try:
            try:
                figures = super().invoke(ctx)
            except Unmet as unmet:
                if json_file:
                    write_json(json_file, unmet.figures)
                raise
            if json_file:
                write_json(json_file, figures)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except NoMulError as error:
            if debug:
                raise
            fail(str(error), FAILED)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output went away; it needs no message, and Python no flush.
            sys.stdout = None
            ctx.exit(FAILED)
        except Exception as error:
            if debug:
                raise
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            fail(f"a defect of NoMul ({text}); run again with --debug and report it", DEFECT)


def fail(message: str, status: int) -> None:
    """One line on standard error, and the end."""
    messages.print(f"nomul: {escape(' '.join(message.split()))}", style="red", soft_wrap=True)
    raise click.exceptions.Exit(status)
