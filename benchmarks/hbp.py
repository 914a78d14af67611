"""Figures of system B, hierarchical bit programming: ``python -m benchmarks.hbp [--json FILE]``.

Accuracies and the times of allocation are those that ``python -m benchmarks.allocation --save``
kept in ``benchmarks/results/allocation.json``; they are marked as kept. With ``--quick`` the cycles
of the RTL are counted on two machines instead of twenty, and the study covers one network.
"""

import json
import time
from typing import Any

from benchmarks import model_cycles, xczu15eg
from benchmarks.figures import RESULTS, Benchmark, Figure, at_least, at_most, free
from benchmarks.resource_fit import checks, worst
from boards.parts import load_part
from compiler.model.outline import outline, packed
from compiler.model.precision import NATIVE, Precision
from compiler.model.search import Task, evaluate
from compiler.model.space import ENGINES, Sizes, engine_tables
from nomul.exploration import EXTERNAL, limits_of
from nomul.output import Report
from quant.imagenet_shapes import imagenet_shape

__all__ = ["HBP", "main"]

ALLOCATION = RESULTS / "allocation.json"
QUICK_MACHINES = 2
SPEED_PART, SPEED_ENGINES = "xczu15eg", 25
"""Every so many of the engines are evaluated for the speed."""


def speed(progress: Report) -> dict[str, Any]:
    """Machines evaluated a second of one core for ResNet-50, with all that an exploration does:
    cycles with the best tiles of every layer, resources, and the front."""
    part = load_part(SPEED_PART)
    graph = outline(imagenet_shape("resnet50"))
    task = Task(
        graph=packed(graph),
        precision=Precision("own format", NATIVE),
        limits=limits_of(part, 1.0),
        external=EXTERNAL[part.family],
        grid=Sizes().grid(),
        clock_mhz=200,
        activation_bits=8,
    )
    engines = list(engine_tables(ENGINES, 240))[::SPEED_ENGINES]
    progress(0, None, f"{len(engines)} engines")
    begin = time.process_time()
    _, count = evaluate(task, engines)
    return {"configurations_per_second": count / (time.process_time() - begin)}


def resources(progress: Report) -> dict[str, Any]:
    """Errors of the resource model on the kept machines that it was not fitted to."""
    return worst(checks())


def cycles(count: int | None):
    """Predicted cycles that are not the RTL's, on so many machines and three networks."""

    def measure(progress: Report) -> dict[str, Any]:
        machines = list(model_cycles.machines())[:count]
        rows = []
        for done, architecture in enumerate(machines):
            progress(done, len(machines), architecture.name)
            rows += model_cycles.measure(architecture, progress)
        return {
            "cycles.mismatches": model_cycles.mismatches(rows),
            "cycles.runs": len(rows),
        }

    return measure


def study(networks: tuple[str, ...]):
    """By how much widths by channel shorten the latency on an XCZU15EG."""

    def measure(progress: Report) -> dict[str, Any]:
        return {
            f"xczu15eg.{name}.latency_gain": xczu15eg.gain(xczu15eg.study(name, progress))
            for name in networks
        }

    return measure


def kept() -> dict[str, Any]:
    """What the benchmark of the allocation kept, nothing before it ran; and the kept study."""
    allocation = json.loads(ALLOCATION.read_text()) if ALLOCATION.exists() else {}
    networks = json.loads(xczu15eg.RESULTS.read_text())
    gains = {f"xczu15eg.{name}.latency_gain": xczu15eg.gain(one) for name, one in networks.items()}
    return {**gains, **allocation}


LATENCY = "25 % below the state of the art (HBP, 2024)"
ACCURACY = "> 2 points above related methods (HBP, 2024)"
HBP = Benchmark(
    name="hbp",
    title="System B, hierarchical bit programming",
    figures=(
        Figure(
            *("gain.bits3_0", ">= 2", at_least(2)),
            how="points of per-channel over per-layer widths, 3.0 bits, worse of two networks",
            published=ACCURACY,
        ),
        Figure(
            *("gain.bits2_5", ">= 2", at_least(2)),
            how="the same at 2.5 bits",
            published=ACCURACY,
        ),
        Figure(
            *("finetuned.loss", "<= 0.8", at_most(0.8)),
            how="points below float, 3.0 bits, 2 epochs of fine-tuning",
        ),
        Figure(*("search.seconds", "<= 120", at_most(120)), how="ResNet-20, with sensitivities"),
        Figure(*("program.seconds", "<= 5", at_most(5)), how="ResNet-20, the program alone"),
        Figure(
            *("resnet50.program.seconds", "<= 60", at_most(60)), how="ResNet-50's shape, program"
        ),
        Figure(
            *("configurations_per_second", ">= 2000", at_least(2000)),
            how="machines evaluated for ResNet-50, one core",
        ),
        Figure(
            *("model.lut_error", "<= 0.1", at_most(0.1)),
            how="largest error of look-up tables, machines not fitted to",
        ),
        Figure(*("model.ff_error", "<= 0.1", at_most(0.1)), how="the same of flip-flops"),
        Figure(*("model.machines", ">= 12", at_least(12)), how="machines not fitted to", form="d"),
        Figure(
            *("model.inexact", "0", at_most(0)),
            how="of them with another number of DSP blocks or block RAMs than Yosys",
            form="d",
        ),
        Figure(
            *("cycles.mismatches", "0", at_most(0)),
            how="predictions that differ from the RTL's counter",
            form="d",
        ),
        Figure(*("cycles.runs", "", free), how="machines times networks compared", form="d"),
        *(
            Figure(
                *(f"xczu15eg.{name}.latency_gain", ">= 0.25", at_least(0.25)),
                how="latency of per-channel widths below 8 bits, modelled",
                published=LATENCY,
            )
            for name in xczu15eg.NETWORKS
        ),
    ),
    quick=(
        ("Speed of the models", speed),
        ("Resources", resources),
        ("Cycles", cycles(QUICK_MACHINES)),
        ("Study", study(("resnet18",))),
    ),
    long=(
        ("Speed of the models", speed),
        ("Resources", resources),
        ("Cycles", cycles(None)),
        ("Study", study(xczu15eg.NETWORKS)),
    ),
    others=kept,
)

main = HBP.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.hbp")
