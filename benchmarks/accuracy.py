"""Top-1 accuracy of the pretrained networks, float and quantized without training.

``python -m benchmarks.accuracy [--save] [SCHEME ...]`` needs ``NOMUL_MODELS`` and ``NOMUL_DATA``.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from nomul.output import stage, table, write_json
from nomul.verb import Verb
from quant.datasets import Dataset, calibration_images, cifar10_jpeg, cifar10_lossless
from quant.floating import run_float
from quant.importers import load
from quant.networks import pretrained
from quant.quantize import quantize
from quant.reference import predict

__all__ = ["measure", "top1"]

# The images that each network was trained for.
NETWORKS: dict[str, Callable[[], Dataset]] = {
    "resnet20": cifar10_jpeg,
    "resnet20-original": cifar10_lossless,
    "resnet8": cifar10_lossless,
}
# What docs/quantizers.md compares.
WEIGHTS = (
    "int8",
    "log5",
    "log4",
    "w4",
    "w4r",
    "w4r+",
    "w4r++",
    "sp2",
    "w3",
    "codebook3",
    "codebook2",
)
ACTIVATIONS = ("int8alog", "log5alog", "log4alog", "int8a4", "log5a4", "log4a4")
SCHEMES = (*WEIGHTS, *ACTIVATIONS)
RESULTS = Path(__file__).parent / "results" / "accuracy.json"
INPUT_SHAPE = (3, 32, 32)
CALIBRATION_IMAGES = 1024


def measure(
    schemes: Sequence[str] = ("int8", "log4"),
    networks: Sequence[str] = tuple(NETWORKS),
    test_images: int | None = None,
    report: Callable[[str], None] = lambda label: None,
) -> dict[str, float]:
    """Accuracies in percent, losses in points, and speed of the integer reference.

    Parameters
    ----------
    schemes, networks : names
    test_images : int, optional
        Take only so many of the shuffled test images; all where it is not given.
    report : function (label), optional
        Called before each measurement.

    Returns
    -------
    ``<network>.float``, ``<network>.<scheme>.top1``, ``<network>.<scheme>.loss`` and
    ``<network>.<scheme>.images_per_second``.
    """
    figures: dict[str, float] = {}
    for network in networks:
        report(f"{network} float")
        module, preprocess = pretrained(network)
        graph, data = load(module, INPUT_SHAPE), NETWORKS[network]()
        chosen = np.random.default_rng(0).permutation(len(data.test_labels))[:test_images]
        images, labels = preprocess(data.test_images[chosen]), data.test_labels[chosen]
        calibration = preprocess(calibration_images(data, CALIBRATION_IMAGES))
        exact = top1(run_float(graph, images, keep=[graph.output])[graph.output], labels)
        figures[f"{network}.float"] = exact
        for scheme in schemes:
            report(f"{network} {scheme}")
            qgraph = quantize(graph, calibration, scheme)
            started = time.perf_counter()
            found = top1(predict(qgraph, images), labels)
            seconds = time.perf_counter() - started
            figures[f"{network}.{scheme}.top1"] = found
            figures[f"{network}.{scheme}.loss"] = exact - found
            figures[f"{network}.{scheme}.images_per_second"] = len(images) / seconds
    return figures


def top1(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Percent of images whose largest output is that of their label."""
    return 100 * float((outputs.reshape(len(labels), -1).argmax(axis=1) == labels).mean())


@click.command(cls=Verb)
@click.argument("schemes", nargs=-1)
@click.option(
    "--network",
    "networks",
    multiple=True,
    type=click.Choice(list(NETWORKS)),
    help="Only this network; may be given several times.",
)
@click.option("--save", is_flag=True, help=f"Keep the figures in {RESULTS.name}.")
def main(schemes: tuple[str, ...], networks: tuple[str, ...], save: bool) -> dict[str, Any]:
    """Measure what SCHEMES cost in top-1 on all test images; by default those of the table."""
    schemes = schemes or SCHEMES
    found: dict[str, float] = {}
    for network in networks or tuple(NETWORKS):
        with stage(f"Accuracy of {network}") as progress:
            found |= measure(schemes, [network], report=progress.say)
        if save:
            kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            write_json(RESULTS, dict(sorted((kept | found).items())))
    table(
        "Top-1 in percent",
        ["network", "scheme", "float", "quantized", "loss, points", "images/s"],
        [
            [
                network,
                scheme,
                f"{found[f'{network}.float']:.2f}",
                f"{found[f'{network}.{scheme}.top1']:.2f}",
                f"{found[f'{network}.{scheme}.loss']:.2f}",
                f"{found[f'{network}.{scheme}.images_per_second']:.0f}",
            ]
            for network in networks or tuple(NETWORKS)
            for scheme in schemes
        ],
        left=2,
    )
    return found


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.accuracy")
