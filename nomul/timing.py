"""How deep and how slow a machine's logic is: the tables and their figures."""

from typing import Any

from boards.timing import LABEL, TimingReport
from nomul.output import table

__all__ = ["timing_figures", "timing_table"]


def timing_table(report: TimingReport) -> None:
    """A row a block, its slowest path, and the paths that break a rule."""
    groups, broken = report.grouped(), report.violations(depth=1)
    table(
        f"{report.design} on {report.part.name}: {LABEL}",
        ["block", "LUT levels", "carry chains", "ns", "MHz", "within the rule"],
        [
            [
                block or "top",
                max(path.levels for path in ends.deepest.values()),
                max(ends.deepest),
                f"{ends.slowest.ns:.2f}",
                f"{1000 / ends.slowest.ns:.0f}",
                block not in broken,
            ]
            for block, ends in groups.items()
        ],
    )
    table(
        "Slowest path of each block (before each arrow: what the net reaches)",
        ["block", "path"],
        [[block or "top", str(ends.slowest)] for block, ends in groups.items()],
        left=2,
    )
    if broken:
        rules = dict.fromkeys(report.rule(block).name for block in broken)
        table(
            f"Deeper than allowed ({'; '.join(rules)})",
            ["block", "path", "LUT levels", "carry chains"],
            [
                [block or "top", str(path), path.levels, path.chains]
                for block, paths in broken.items()
                for path in paths
            ],
            left=2,
        )


def timing_figures(report: TimingReport) -> dict[str, Any]:
    """For JSON: ``timing.mhz``, ``timing.violations`` (blocks), and the report as it is."""
    return {
        "timing.mhz": report.mhz,
        "timing.violations": len(report.violations()),
        "timing": report.to_dict(),
    }
