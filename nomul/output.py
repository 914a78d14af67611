"""What every verb shows and writes: tables, progress, JSON."""

import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from quant.errors import NoMulError

__all__ = [
    "Report",
    "Stage",
    "console",
    "messages",
    "plural",
    "stage",
    "table",
    "write_array",
    "write_bytes",
    "write_json",
]

LONGEST_WORD = 18
"""A longer word of a table may be folded within itself."""

console = Console(highlight=False)
"""Results: standard output."""

messages = Console(stderr=True, highlight=False)
"""Progress and errors: standard error, so that results can be piped."""

Report = Callable[[int, int | None, str], None]
"""Called with the steps done, the steps in all (None where that is unknown), and what is done."""


class Stage:
    """Something long that is being done; a :data:`Report` when it is called."""

    def __init__(self, title: str, progress: Progress) -> None:
        self.title = title
        self.progress = progress
        self.label = ""
        self.task = progress.add_task(title, total=None)

    def __call__(self, done: int, total: int | None, label: str) -> None:
        """Show how far it is; what has no end in sight is also told where there is no bar."""
        if total is None and label != self.label:
            self.say(label)
        self.label = label
        self.progress.update(
            self.task, completed=done, total=total, description=f"{self.title}: {label}"
        )

    def say(self, message: str) -> None:
        """Show what is being done just now."""
        if messages.is_terminal:
            self.progress.update(self.task, description=f"{self.title}: {message}")
        else:
            messages.print(f"  {message}")


@contextmanager
def stage(title: str) -> Iterator[Stage]:
    """Show that something is being done, then how long it took.

    On a terminal a spinner with the elapsed time, and a bar once the steps are reported; elsewhere
    one line when it begins and one when it ends.
    """
    begin = time.monotonic()
    if not messages.is_terminal:
        messages.print(f"{escape(title)} ...")
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=messages,
        transient=True,
        disable=not messages.is_terminal,
    ) as progress:
        yield Stage(title, progress)
    messages.print(f"[green]✓[/] {escape(title)} [dim]{time.monotonic() - begin:.1f} s[/]")


def table(title: str, columns: list[str], rows: list[list[Any]], left: int = 1) -> None:
    """Print a table; the first ``left`` columns are text, the others are numbers.

    Where the terminal is narrow text is folded: a number that lost digits would be wrong.
    """
    grid = Table(
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for index, column in enumerate(columns):
        text = index < left
        cells = [column, *(show(row[index]) for row in rows)]
        words = [word for cell in cells for word in cell.split(" ")]
        grid.add_column(
            column,
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            min_width=min(max(map(len, words)), LONGEST_WORD) if text else None,
        )
    for row in rows:
        grid.add_row(*(show(cell) for cell in row))
    # Not as the grid's own title, which would be folded at the grid's width.
    console.print(escape(title), style="bold")
    console.print(grid)
    console.print()


def show(value: Any) -> str:
    """A cell: thousands apart, ticks for truth, nothing for None.

    >>> [show(value) for value in (12345, 0.98765, True, None, "conv")]
    ['12,345', '0.988', '[green]✓[/]', '', 'conv']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "[green]✓[/]" if value else "[red]✗[/]"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "image"), plural(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole file or nothing.

    Errors: :class:`NoMulError` where the folder is missing or cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise NoMulError(f"{path} is a folder; name a file to write")
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(temporary, 0o666 & ~umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NoMulError(
            f"{path} cannot be written ({error.strerror}); name a file in a folder that can"
        ) from error


def umask() -> int:
    """The process's mask of file permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: str | Path, figures: dict[str, Any]) -> None:
    """Write figures as a JSON file, whole or not at all."""
    write_bytes(path, (json.dumps(figures, indent=2) + "\n").encode())


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file, whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, array)
    write_bytes(path, stream.getvalue())
