"""What a machine takes of a part: the table, its figures, and what to shrink."""

from typing import Any

from boards.synth import SynthReport
from nomul.output import table

__all__ = ["ADVICE", "synthesis_figures", "synthesis_table"]

LOGIC = "lower lanes, vector_words or groups of [engine] in the architecture, or take a larger part"
MEMORY = (
    "lower weight_words, feature_words or accumulator_words of [memory] in the architecture, or "
    "take a larger part"
)
ADVICE = {
    "lut": LOGIC,
    "lutram": MEMORY,
    "ff": LOGIC,
    "carry": LOGIC,
    "dsp": LOGIC,
    "bram": MEMORY,
    "uram": MEMORY,
}
"""What to shrink where a part has too little of a resource."""

SHOWN = {
    "lut": "LUT",
    "lutram": "as RAM",
    "ff": "FF",
    "carry": "CARRY",
    "dsp": "DSP",
    "bram": "BRAM36",
}


def synthesis_table(report: SynthReport) -> None:
    """A row a block, then the sum, what the part has, and the share."""
    total, part = report.total, report.part
    shown = {**SHOWN, **({"uram": "URAM"} if part.available.uram else {})}

    def row(title: str, used) -> list:
        return [title, *(f"{getattr(used, name):,g}" for name in shown)]

    rows = [row(path or "top", used) for path, used in report.grouped().items()]
    available = report.to_dict()["available"]
    rows += [
        row("all", total),
        [f"{part.name} has", *(f"{available[name]:,}" for name in shown)],
        ["share", *(f"{report.share(name):.1%}" for name in shown)],
    ]
    table(f"{report.design} on {part.name}", ["block", *shown.values()], rows)


def synthesis_figures(report: SynthReport) -> dict[str, Any]:
    """For JSON: ``synth.lut`` and so on, ``synth.share.lut``, and the report as it is."""
    used, shares = report.total.to_dict(), report.to_dict()["share"]
    return {
        **{f"synth.{name}": value for name, value in used.items()},
        **{f"synth.share.{name}": value for name, value in shares.items()},
        "synth": report.to_dict(),
    }
