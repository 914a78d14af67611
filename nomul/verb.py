"""What all verbs of the command line share: ``--json``, ``--debug`` and how failures end."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from nomul.output import messages, write_json
from quant.errors import NoMulError
from quant.files import check_target

__all__ = ["OutputFile", "Unmet", "Verb"]

FAILED, DEFECT, INTERRUPTED = 1, 3, 130


class Unmet(NoMulError):
    """A check that failed after everything was measured: its figures are still written."""

    def __init__(self, message: str, figures: dict[str, Any]) -> None:
        super().__init__(message)
        self.figures = figures


class OutputFile(click.Path):
    """A file that a verb writes; the verb checks that it can before it begins.

    Parameters
    ----------
    endings : str
        Those that are allowed (``.png``); any where there are none.
    """

    def __init__(self, *endings: str) -> None:
        super().__init__(path_type=Path)
        self.endings = endings

    def check(self, path: Path) -> None:
        """Errors: :class:`NoMulError` for another ending, and as of ``check_target``."""
        if self.endings and path.suffix not in self.endings:
            raise NoMulError(f"{path} must end in {', '.join(self.endings)}")
        check_target(path)


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
                type=OutputFile(),
                help="Write the figures to this file as JSON.",
            ),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    def invoke(self, ctx: click.Context) -> None:
        targets = [
            (param.type, ctx.params.get(param.name or ""))
            for param in self.params
            if isinstance(param.type, OutputFile)
        ]
        json_file, debug = ctx.params.pop("json_file"), ctx.params.pop("debug")
        try:
            # Before minutes of work, not after them.
            for kind, path in targets:
                if path is not None:
                    kind.check(path)
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
