"""Synthesized machines that the resource model is fitted to and checked with.

``python -m benchmarks.resource_points --count N`` draws N machines of all engines, synthesizes
those that ``benchmarks/results/resource_points.json`` does not hold yet, and adds each
as it is done. Which machine a number stands for is fixed, and so is its use: a third of them is
never fitted to. ``--machine NAME --family FAMILY --use USE`` adds a named one.
"""

import json
import random
from pathlib import Path
from typing import Any

import click

from boards.parts import load_part
from boards.resources import FAMILIES
from boards.synth import synthesize
from nomul.blocks import block
from nomul.output import Report, stage, table
from nomul.verb import Verb
from quant.errors import NoMulError
from rtl.architecture import Architecture, load_architecture

__all__ = ["CHECKED", "RESULTS", "drawn", "load_points", "main"]

RESULTS = Path(__file__).parent / "results" / "resource_points.json"
PARTS = {"xc7": "xc7z045", "xcup": "xczu15eg"}
KINDS = (
    "shift_gemm",
    "conv5x5",
    "shift_gemm",
    "svpe",
    "shift_gemm",
    "conv5x5",
    "shift_gemm",
    "vpe",
)
CHECKED = 3
"""Of so many machines, the last is kept for checks."""
FEWEST, MOST = 64, 420
"""Multiply-accumulates a cycle of a drawn machine: what Yosys takes about a minute for."""


def use_of(number: int) -> str:
    """What the machine of a number is for: ``fit`` or ``check``."""
    return "check" if number % CHECKED == CHECKED - 1 else "fit"


def drawn(number: int) -> tuple[Architecture, str]:
    """The machine of a number, and the family that it is synthesized for."""
    source = random.Random(number)
    while True:
        kind = KINDS[number % len(KINDS)]
        engine: dict[str, Any] = {"kind": kind}
        bits = source.choice((4, 6, 8, 8))
        if kind == "shift_gemm":
            engine["lanes"] = source.choice((4, 8, 16))
            engine["weights"] = source.choice(("w3", "w4r", "w4", "sp2", "log4", "log5"))
            engine["dsp_columns"] = source.choice((0, 0, engine["lanes"] // 2))
        elif kind == "conv5x5":
            engine["lanes"] = source.choice((5, 10, 15, 20))
        else:
            engine["lanes"] = source.choice((4, 8))
            engine["kernel"] = 3
            engine["line_words"] = source.choice((16, 40, 64, 130, 256))
            engine["weights"] = source.choice(("n3", "n4") if kind == "svpe" else ("s4", "s8"))
        engine["vector_words"] = source.choice((1, 2, 3, 4))
        engine["groups"] = source.choice((1, 2, 4))
        table = {
            "name": f"drawn-{number}",
            "part": "xc7z045",
            "clock_mhz": 100,
            "engine": engine,
            "numbers": {
                "activation_bits": bits,
                "accumulator_bits": source.choice((20, 24, 28, 32)),
                "pass_shift_bits": source.choice((1, 2, 3, 4)),
                "logarithmic": source.choice((0, 0, 0, 1)),
            },
            "memory": {
                "feature_words": 1 << source.randint(9, 14),
                "weight_words": source.choice((768, 1024, 3000, 4096, 8192, 20000)),
                "parameter_words": source.choice((64, 256, 512, 1500)),
                "accumulator_words": 1 << source.randint(6, 11),
                "queue_words": 1 << source.randint(5, 9),
                "instruction_words": 1 << source.randint(8, 12),
            },
        }
        try:
            architecture = Architecture.from_dict(table)
        except NoMulError:
            continue
        if FEWEST <= architecture.macs_per_cycle <= MOST:
            return architecture, FAMILIES[number % 5 in (2, 4)]


def load_points() -> list[dict[str, Any]]:
    """Points as they are kept: ``machine`` (a description), ``family``, ``use`` and ``blocks``."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def add_point(architecture: Architecture, family: str, use: str, progress: Report) -> None:
    """Synthesize a machine, if the kept file does not have it, and add it there."""
    points = load_points()
    machine = architecture.to_dict()
    if any(point["machine"] == machine and point["family"] == family for point in points):
        return
    design = block("machine", architecture, family)
    part = load_part(PARTS[family])
    report = synthesize(design, part, lambda message: progress(0, None, message))
    blocks = {name or "top": used.to_dict() for name, used in report.grouped().items()}
    # Others may have added some meanwhile.
    points = [*load_points(), {"machine": machine, "family": family, "use": use, "blocks": blocks}]
    text = ",\n".join(json.dumps(point) for point in points)
    RESULTS.write_text(f"[\n{text}\n]\n")


@click.command(cls=Verb)
@click.option("--count", default=0, metavar="N", help="Draw the machines 0 .. N - 1.")
@click.option("--machine", "names", multiple=True, metavar="NAME", help="A named machine.")
@click.option(
    "--use",
    type=click.Choice(("check", "fit")),
    default="check",
    show_default=True,
    help="What a named machine is for.",
)
@click.option("--family", type=click.Choice(FAMILIES), default="xc7", show_default=True)
def main(count: int, names: tuple[str, ...], use: str, family: str) -> dict[str, Any]:
    """Synthesize machines for the resource model."""
    with stage("Machines") as progress:
        # Those for checks first: an early end leaves enough of them.
        numbers = sorted(range(count), key=lambda number: use_of(number) == "fit")
        for done, number in enumerate(numbers):
            progress(done, count, f"machine {number}")
            add_point(*drawn(number), use_of(number), progress)
        for name in names:
            add_point(load_architecture(name), family, use, progress)
    points = load_points()
    table(
        "Synthesized machines",
        ["machine", "family", "use", "LUT", "FF", "DSP", "BRAM36"],
        [
            [
                point["machine"]["name"],
                point["family"],
                point["use"],
                *(
                    f"{sum(used[name] for used in point['blocks'].values()):g}"
                    for name in ("lut", "ff", "dsp", "bram")
                ),
            ]
            for point in points
        ],
    )
    return {"points": len(points)}


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.resource_points")
