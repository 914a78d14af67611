"""What widths of weights are worth: accuracy of uniform, per-layer and per-channel allocations.

``python -m benchmarks.allocation [--save]`` needs ``NOMUL_MODELS`` and ``NOMUL_DATA``. Every row is
kept as soon as it is measured, and only missing ones are measured again.
"""

import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from benchmarks.accuracy import top1
from nomul.output import Report, stage, table, write_json
from nomul.verb import Verb
from quant.allocation.allocate import allocate, groups_in_order, layer_groups, uniform
from quant.allocation.allocation import Allocation
from quant.allocation.budget import Budget
from quant.allocation.sensitivity import Sensitivity, measure_sensitivity
from quant.allocation.tables import WIDTHS
from quant.datasets import Dataset, calibration_images, cifar10_jpeg
from quant.floating import run_float
from quant.graph import Graph
from quant.importers import load
from quant.networks import Preprocessing, pretrained
from quant.quantize import quantize
from quant.reference import predict
from quant.training.trained import load_trained

__all__ = ["NETWORKS", "RESULTS", "Row", "gains", "measure", "resnet50_sensitivity", "rows"]

NETWORKS = ("resnet8", "resnet20")
WEIGHTS = (("uniform", "nearest"), ("log", "nearest"), ("log", "compensated"))
"""Kinds of weights and their rounding; the first is what the literature compares widths with."""
BUDGETS = (3.0, 2.5)
LEVELS = ("layer", "channel")
UNIFORM = (2, 3)
MEASURE = "output"
RESULTS = Path(__file__).parent / "results" / "allocation.json"
TUNED = Path(__file__).parent / "trained" / "resnet20_mixed3.pt"
"""Two epochs at the widths of the file beside it; ResNet-8 was trained on other images, so that
more training on these would gain points whatever the widths."""
INPUT_SHAPE = (3, 32, 32)
IMAGES = 512
RESNET50 = {64: 7, 128: 8, 256: 16, 512: 11, 1000: 1, 1024: 7, 2048: 4}
"""Convolutions and the classifier of ResNet-50 by their output channels."""

Values = dict[str, Any]


class Row(NamedTuple):
    """A row of the table; the level ``uniform`` has its width as the budget."""

    network: str
    kind: str
    rounding: str
    level: str
    budget: float

    @property
    def key(self) -> str:
        """In the kept file."""
        return f"{self.network}.{self.kind}.{self.rounding}.{self.level}.{self.budget:g}"


@cache
def network(name: str) -> tuple[Graph, Preprocessing]:
    """A pretrained network and its preprocessing."""
    module, preprocess = pretrained(name)
    return load(module, INPUT_SHAPE, name), preprocess


@cache
def dataset() -> Dataset:
    """The images that all are measured on."""
    return cifar10_jpeg()


@cache
def sample(name: str) -> np.ndarray:
    """Training images for sensitivities and calibration."""
    return network(name)[1](calibration_images(dataset(), IMAGES))


@cache
def costs(name: str, kind: str, rounding: str) -> tuple[Sensitivity, float]:
    """Sensitivities, and the seconds that they took."""
    begin = time.monotonic()
    found = measure_sensitivity(network(name)[0], sample(name), kind, MEASURE, rounding)
    return found, time.monotonic() - begin


def allocated(row: Row) -> Allocation:
    """The allocation of a row."""
    found, _ = costs(row.network, row.kind, row.rounding)
    if row.level == "uniform":
        return uniform(found, int(row.budget))
    groups = layer_groups(found) if row.level == "layer" else groups_in_order(found, 1)
    return allocate(found, [Budget("bits", row.budget)], groups)


def test_set(name: str, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Test images, shuffled, and labels."""
    data = dataset()
    chosen = np.random.default_rng(0).permutation(len(data.test_labels))[:count]
    return network(name)[1](data.test_images[chosen]), data.test_labels[chosen]


def rows() -> list[Row]:
    """All rows of the table."""
    levels = [(level, bits) for bits in BUDGETS for level in LEVELS]
    levels += [("uniform", float(bits)) for bits in UNIFORM]
    return [
        Row(name, kind, rounding, level, bits)
        for name in NETWORKS
        for kind, rounding in WEIGHTS
        for level, bits in levels
    ]


def measure(row: Row, test_images: int | None = None) -> Values:
    """:func:`figures` of one row."""
    graph, _ = network(row.network)
    return figures(row.network, graph, allocated(row), test_images)


def tuned(test_images: int | None = None) -> Values:
    """:func:`figures` of the network that was trained at its widths."""
    trained = load_trained(TUNED)
    graph = load(trained.model, INPUT_SHAPE, trained.name)
    found = Allocation.load(TUNED.with_suffix(".bits.json"))
    return figures(trained.name, graph, found, test_images)


def figures(name: str, graph: Graph, found: Allocation, test_images: int | None) -> Values:
    """``top1`` in percent, ``bits`` of a weight and ``bytes`` of all, at an allocation's widths."""
    qgraph = quantize(graph, sample(name), found.scheme())
    images, labels = test_set(name, test_images)
    return {
        "top1": top1(predict(qgraph, images), labels),
        "bits": found.mean,
        "bytes": found.bytes,
    }


def float_top1(name: str, test_images: int | None = None) -> float:
    """Percent of the float network."""
    graph, _ = network(name)
    images, labels = test_set(name, test_images)
    return top1(run_float(graph, images, keep=[graph.output])[graph.output], labels)


def search_times() -> Values:
    """Seconds of the search on ResNet-20, of its program, and of one of ResNet-50's shape."""
    found, seconds = costs("resnet20", "log", "compensated")
    begin = time.monotonic()
    for budget in BUDGETS:
        allocate(found, [Budget("bits", budget)], groups_in_order(found, 1))
    program = (time.monotonic() - begin) / len(BUDGETS)
    large = resnet50_sensitivity()
    begin = time.monotonic()
    allocate(large, [Budget("bits", 3.0)], groups_in_order(large, 16))
    return {
        "search.seconds": seconds + program,
        "program.seconds": program,
        "resnet50.program.seconds": time.monotonic() - begin,
    }


def resnet50_sensitivity() -> Sensitivity:
    """Random costs of channels as many as ResNet-50's, a fourth for each further bit."""
    random = np.random.default_rng(0)
    sizes = [count for count, layers in RESNET50.items() for _ in range(layers)]
    costs_of = {
        f"layer{index}": random.lognormal(0, 1.5, (count, 1)) * 4.0 ** -np.array(WIDTHS)
        for index, count in enumerate(sizes)
    }
    elements = {f"layer{index}": 960 for index in range(len(sizes))}
    return Sensitivity("log", "nearest", MEASURE, costs_of, elements)


def gains(kept: Values) -> Values:
    """Points that channels are above layers: ``gain.<row>``, and of the first kind of weights the
    least of both networks, ``gain.bits3_0`` and ``gain.bits2_5``."""
    found = {}
    for budget in BUDGETS:
        for kind, rounding in WEIGHTS:
            for name in NETWORKS:
                pair = [Row(name, kind, rounding, level, budget) for level in LEVELS]
                layer, channel = (kept.get(f"{row.key}.top1") for row in pair)
                if layer is not None and channel is not None:
                    found[f"{name}.{kind}.{rounding}.gain.{budget:g}"] = channel - layer
        first = [f"{name}.{'.'.join(WEIGHTS[0])}.gain.{budget:g}" for name in NETWORKS]
        if all(key in found for key in first):
            least = min(found[key] for key in first)
            found[f"gain.bits{str(budget).replace('.', '_')}"] = least
    if "resnet20.tuned.top1" in kept:
        found["finetuned.loss"] = kept["resnet20.float"] - kept["resnet20.tuned.top1"]
    return found


def load_kept() -> Values:
    """What is kept; without a file nothing."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def measure_missing(kept: Values, keep: Callable[[Values], None], report: Report) -> None:
    """Measure what ``kept`` has not, and give it to ``keep`` row by row."""
    for name in NETWORKS:
        if f"{name}.float" not in kept:
            report(0, None, f"{name} float")
            keep({f"{name}.float": float_top1(name)})
    for row in rows():
        if f"{row.key}.top1" not in kept:
            report(0, None, row.key)
            keep({f"{row.key}.{what}": value for what, value in measure(row).items()})
    if "resnet20.tuned.top1" not in kept:
        report(0, None, "tuned")
        keep({f"resnet20.tuned.{what}": value for what, value in tuned().items()})
    if "search.seconds" not in kept:
        report(0, None, "search")
        keep(search_times())


@click.command(cls=Verb)
@click.option("--save", is_flag=True, help=f"Keep each row in {RESULTS.name}, and begin there.")
def main(save: bool) -> Values:
    """Measure what allocations cost in top-1, on all test images."""
    found = load_kept() if save else {}

    def keep(values: Values) -> None:
        found.update(values)
        if save:
            # Another run may have kept rows of its own in the meantime.
            found.update(load_kept() | values)
            write_json(RESULTS, dict(sorted(found.items())))

    with stage("Accuracies of allocations") as progress:
        measure_missing(found, keep, progress)
    found |= gains(found)
    if save:
        write_json(RESULTS, dict(sorted(found.items())))
    show(found)
    return found


def show(found: Values) -> None:
    """A row an allocation."""
    table(
        f"Top-1 in percent, sensitivity {MEASURE}",
        ["network", "weights", "rounding", "widths", "budget", "bits", "bytes", "top-1", "lost"],
        [
            [
                *row[:4],
                f"{row.budget:g}",
                f"{found[f'{row.key}.bits']:.3f}",
                int(found[f"{row.key}.bytes"]),
                f"{found[f'{row.key}.top1']:.2f}",
                f"{found[f'{row.network}.float'] - found[f'{row.key}.top1']:.2f}",
            ]
            for row in rows()
        ],
        left=4,
    )
    table(
        "Trained two epochs at its widths",
        ["network", "bits", "bytes", "top-1", "lost"],
        [
            [
                "resnet20",
                f"{found['resnet20.tuned.bits']:.3f}",
                int(found["resnet20.tuned.bytes"]),
                f"{found['resnet20.tuned.top1']:.2f}",
                f"{found['finetuned.loss']:.2f}",
            ]
        ],
    )


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.allocation")
