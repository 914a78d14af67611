"""What weights with codebooks take on disk, layer by layer."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nomul.output import table
from quant.codebooks import CodedWeight, Size

__all__ = ["codebook_table"]


def codebook_table(coded: dict[str, CodedWeight], file: Path) -> dict[str, Any]:
    """Show the codebooks and sizes of all weights by name; the same as plain values.

    Parameters
    ----------
    coded : dict of CodedWeight
    file : path
        That holds them, with biases and names.
    """
    rows = {
        name: {
            "bits": weight.bits,
            "codebook": weight.codebook.tolist(),
            **figures(weight.size),
        }
        for name, weight in coded.items()
    }
    total = figures(Size.total(weight.size for weight in coded.values()))
    total["file_bytes"] = file.stat().st_size
    table(
        f"Codebooks: {total['bytes']:,} bytes, file {total['file_bytes']:,} bytes",
        ["weight", "values", "index bits", "weights", "zeros", "indices", "codebook", "smaller"],
        [
            [
                name,
                None if "codebook" not in row else len(row["codebook"]) - 1,
                row.get("bits"),
                row["weights"],
                f"{row['zeros'] / row['weights']:.1%}",
                row["index_bytes"],
                row["codebook_bytes"],
                f"{row['compression']:.2f}",
            ]
            for name, row in [*rows.items(), ("all", total)]
        ],
        left=1,
    )
    return {"layers": rows, "total": total}


def figures(size: Size) -> dict[str, Any]:
    """Fields and sums of a size."""
    return {**asdict(size), "bytes": size.bytes, "compression": size.compression}
