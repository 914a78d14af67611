"""Figures of a benchmark: key, bar, published value, how each is measured; their table."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from nomul.output import Report, console, stage, table
from nomul.verb import Unmet, Verb

__all__ = ["Benchmark", "Figure", "at_least", "at_most", "equals", "free"]

Values = dict[str, Any]
Step = tuple[str, Callable[[Report], Values]]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Parameters
    ----------
    key : str
    bar : str
        What it must reach, for people; empty where there is no bar.
    holds : function of (value, all values) to bool
    how : str
        How it is measured.
    published : str
        What others report for the same, and who.
    form : str
        Format of the value.
    """

    key: str
    bar: str
    holds: Callable[[Any, Values], bool]
    how: str
    published: str = ""
    form: str = ",.4g"

    def text(self, value: Any) -> str:
        """The value for a table."""
        return "-" if value is None else format(value, self.form)

    def met(self, values: Values) -> bool:
        """Whether the bar is reached; a figure that was never measured does not reach it."""
        value = values[self.key]
        return value is not None and self.holds(value, values)


def at_most(limit: float) -> Callable[[Any, Values], bool]:
    return lambda value, values: value <= limit


def at_least(limit: float) -> Callable[[Any, Values], bool]:
    return lambda value, values: value >= limit


def equals(key: str) -> Callable[[Any, Values], bool]:
    return lambda value, values: value == values[key]


def free(value: Any, values: Values) -> bool:
    """A figure without a bar."""
    return True


@dataclass(frozen=True)
class Benchmark:
    """A command that measures figures, prints them beside their bars and writes them flat.

    Parameters
    ----------
    name : str
        Of the module in ``benchmarks`` and of the file in ``benchmarks/results`` that keeps the
        figures of the last whole run.
    title : str
    figures : sequence of Figure
        In the order of the table.
    quick, long : sequence of (title, function)
        What is measured with ``--quick``, and without: functions of a progress report that give
        values by key. What ``--quick`` leaves out comes from the kept file, and is marked.
    others : function, optional
        Gives values that other benchmarks measure and keep. They are marked, too.
    """

    name: str
    title: str
    figures: Sequence[Figure]
    quick: Sequence[Step]
    long: Sequence[Step]
    others: Callable[[], Values] = dict

    @property
    def keys(self) -> list[str]:
        """Keys of all figures."""
        return [figure.key for figure in self.figures]

    @property
    def results(self) -> Path:
        """File of the kept figures."""
        return RESULTS / f"{self.name}.json"

    def kept(self) -> Values:
        """Kept figures; without a file none."""
        return json.loads(self.results.read_text()) if self.results.exists() else {}

    def command(self) -> click.Command:
        """``python -m benchmarks.<name>``."""

        @click.command(cls=Verb, help=f"Measure: {self.title[0].lower()}{self.title[1:]}.")
        @click.option("--quick", is_flag=True, help="Under a minute; the rest as it was kept.")
        @click.option("--save", is_flag=True, help=f"Keep the figures in {self.results.name}.")
        def main(quick: bool, save: bool) -> Values:
            return self.run(quick, save)

        return main

    def run(self, quick: bool, save: bool) -> Values:
        """Measure and show. Errors: :class:`Unmet` for figures that miss their bars."""
        found: Values = {}
        for title, function in self.quick if quick else self.long:
            with stage(title) as progress:
                found |= function(progress)
        fresh, kept = set(found), self.kept() | self.others()
        found = {key: found.get(key, kept.get(key)) for key in self.keys}
        self.show(found, fresh)
        missed = [figure for figure in self.figures if not figure.met(found)]
        result = {**found, "not_measured": sorted(set(found) - fresh)}
        if save and not quick:
            self.results.write_text(json.dumps(found, indent=2) + "\n")
        if missed:
            what = ", ".join(f"{figure.key} ({figure.bar})" for figure in missed)
            raise Unmet(f"not reached: {what}", result)
        return result

    def show(self, found: Values, fresh: set[str]) -> None:
        """The table."""
        table(
            self.title,
            ["figure", "how; what others report", "bar", "measured"],
            [
                [
                    figure.key,
                    f"{figure.how}; {figure.published}" if figure.published else figure.how,
                    figure.bar,
                    figure.text(found[figure.key]) + (" " if figure.key in fresh else "*"),
                ]
                for figure in self.figures
            ],
            left=2,
        )
        if set(found) - fresh:
            console.print("* not measured now: as kept in benchmarks/results")
