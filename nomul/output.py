"""What every verb shows and writes: tables, progress, JSON."""

import io
import json
import math
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
from rich.text import Text

from quant.files import write_bytes

__all__ = [
    "Report",
    "Stage",
    "console",
    "messages",
    "plural",
    "stage",
    "table",
    "write_array",
    "write_json",
]

NARROWEST = 8
"""Width that a column of text keeps where the terminal is too narrow for it."""

UNLIMITED = 10_000
"""A width that no table reaches."""

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

    On a narrow terminal text is folded, numbers never: one that lost digits would be wrong. What
    is no terminal takes the table as wide as it is.
    """
    grid = Table(
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    foldable = 0
    for index, column in enumerate(columns):
        text = index < left
        cells = [column, *(show(row[index]) for row in rows)]
        width = max(Text.from_markup(cell).cell_len for cell in cells)
        least = min(width, NARROWEST) if text else width
        foldable += width - least
        grid.add_column(
            column,
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            min_width=least,
        )
    for row in rows:
        grid.add_row(*(show(cell) for cell in row))
    natural = console.measure(grid, options=console.options.update(max_width=UNLIMITED)).maximum
    if natural > console.width:
        narrowest = natural - foldable
        grid.width = max(console.width, narrowest) if console.is_terminal else natural
    # Not as the grid's own title, which would be folded at the grid's width.
    console.print(escape(title), style="bold", soft_wrap=True)
    console.print(grid, crop=False)
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
    return escape(str(value))


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "image"), plural(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def write_json(path: str | Path, figures: dict[str, Any]) -> None:
    """Write figures as a JSON file, whole or not at all; what is not finite becomes null."""
    text = json.dumps(finite(figures), indent=2, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def finite(value: Any) -> Any:
    """Figures as JSON can hold them: it knows neither NaN nor infinity.

    >>> finite({"sqnr": [1.5, float("inf")]})
    {'sqnr': [1.5, None]}
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file, whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, array)
    write_bytes(path, stream.getvalue())
