"""Top-1 accuracy of the pretrained networks, float and quantized without training.

``python -m benchmarks.accuracy [scheme ...]`` needs ``NOMUL_MODELS`` and ``NOMUL_DATA``.
"""

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

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
INPUT_SHAPE = (3, 32, 32)
CALIBRATION_IMAGES = 512


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


def main() -> None:
    schemes = sys.argv[1:] or ["int8", "log4"]
    with Progress(transient=True) as progress:
        task = progress.add_task("", total=len(NETWORKS) * (1 + len(schemes)))
        figures = measure(
            schemes, report=lambda label: progress.update(task, description=label, advance=1)
        )
    table = Table("network", "scheme", "float %", "quantized %", "loss, points", "images/s")
    for network in NETWORKS:
        for scheme in schemes:
            keys = (f"{network}.float", *(f"{network}.{scheme}.{key}" for key in ("top1", "loss")))
            row = [f"{figures[key]:.2f}" for key in keys]
            row.append(f"{figures[f'{network}.{scheme}.images_per_second']:.0f}")
            table.add_row(network, scheme, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
