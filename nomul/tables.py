"""The verify table."""

from nomul.output import plural, table
from nomul.verification import IMPORT_TOLERANCE, Verification

__all__ = ["verification_table"]


def verification_table(result: Verification, title: str) -> None:
    """A row a layer with a tick for each stage that agrees with the one before it."""
    imported = None
    if result.import_error is not None:
        imported = result.import_error <= IMPORT_TOLERANCE
    rows = [
        [
            row.name,
            row.kind,
            row.shape,
            row.macs or None,
            imported,
            not row.wrong["quantized"],
            *(not row.wrong[stage] if row.kept else None for stage in ("program", "rtl")),
            row.predicted,
            row.rtl_cycles or None,
            None if row.busy is None else f"{row.busy:.0%}",
        ]
        for row in result.rows
    ]
    rows.append(
        [
            "all",
            "",
            "",
            sum(row.macs for row in result.rows),
            imported,
            *(
                not any(row.wrong[stage] for row in result.rows)
                for stage in ("quantized", "program", "rtl")
            ),
            result.predicted,
            result.rtl_cycles,
            None,
        ]
    )
    images, wrong = plural(result.images, "image"), plural(result.mismatches, "difference")
    table(
        f"{title}: {images}, {wrong}",
        ["layer", "kind", "output", "MACs", "imp", "qnt", "prg", "rtl", "cycles", "RTL", "busy"],
        rows,
        left=3,
    )
