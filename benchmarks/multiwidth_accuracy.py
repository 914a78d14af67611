"""Accuracy of networks at the widths of one array: the other half is ``benchmarks.multiwidth``.

``python -m benchmarks.multiwidth_accuracy [--json FILE] [--quick] [--save]`` needs ``NOMUL_DATA``
and ``NOMUL_MODELS``.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy import top1
from benchmarks.figures import Benchmark, Figure, Values, at_least, at_most, free
from benchmarks.nbq import TRAINED
from nomul.output import Report
from quant.calibrate import Observations, observe
from quant.datasets import Dataset, calibration_images, cifar10_jpeg, mnist
from quant.dynamic import choose_widths
from quant.equalize import equalize
from quant.errors import NoMulError
from quant.floating import run_float
from quant.graph import Graph
from quant.importers import load
from quant.networks import IMAGENET, Preprocessing, pretrained
from quant.quantize import quantize
from quant.quantized import QConv, QuantizedGraph
from quant.reference import predict
from quant.schemes import find_scheme
from quant.sizes import model_bytes
from quant.training.trained import load_trained
from quant.widths import layer_width

__all__ = ["MULTIWIDTH_ACCURACY", "NETWORKS", "Network", "deviation", "main"]

MOBILENET = "onnx/mobilenetv2_like_cifar10.onnx"
CALIBRATION_IMAGES = 512
FEW = 200  # images of --quick
MIXED_ERROR = 0.014  # of the activations; weights of 8 bits add some half percent to it
SOME = 1000  # images at 32 bits, where sums take several products each
WIDTHS = {8: (0.3, 0.02), 16: (0.05, 0.01)}
"""Points that may be lost, and relative error of the outputs, by width."""

TAIL_METHODS = {"minmax": "min-max", "kl": "kl", "mse": "mse"}

PAPER = {"w8.loss": "2", "w8.of16": "about 0.5", "w8.error": "< 0.01"}
"""Zhu et al., on other networks."""


@dataclass(frozen=True)
class Network:
    """A float network with its images, and what calibration images showed of it.

    Parameters
    ----------
    graph : Graph
    calibration : float32 (images, channels, rows, columns)
        Training images.
    observed : Observations
    x : float32 (images, channels, rows, columns)
        Test images in a mixed order.
    labels : int (images,)
    exact : float32 (images, classes)
        Outputs of the float network.
    """

    graph: Graph
    calibration: np.ndarray
    observed: Observations
    x: np.ndarray
    labels: np.ndarray
    exact: np.ndarray

    def top1(self, outputs: np.ndarray) -> float:
        """Percent of the first images, as many as there are outputs, that are right."""
        return top1(outputs, self.labels[: len(outputs)])

    def loss(self, outputs: np.ndarray) -> float:
        """Points below the float network on the same images."""
        return self.top1(self.exact[: len(outputs)]) - self.top1(outputs)

    def error(self, outputs: np.ndarray) -> float:
        """:func:`deviation` from the float network."""
        return deviation(outputs, self.exact[: len(outputs)])


def deviation(found: np.ndarray, exact: np.ndarray) -> float:
    """``||found - exact|| / ||exact||`` over all outputs of all images."""
    exact = exact.astype(np.float64)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def resnet(name: str) -> tuple[Graph, Preprocessing, Dataset]:
    module, preprocessing = pretrained(name)
    return load(module, (3, 32, 32), name), preprocessing, cifar10_jpeg()


def lenet() -> tuple[Graph, Preprocessing, Dataset]:
    found = load_trained(TRAINED / "lenet16_float.pt")
    return load(found.model, found.trainable.input_shape, found.name), found.preprocessing, mnist()


def mobilenet() -> tuple[Graph, Preprocessing, Dataset]:
    """From the folder of models, where its weights lie as ONNX."""
    folder = os.environ.get("NOMUL_MODELS")
    if folder is None:
        raise NoMulError(f"no model folder is given; set NOMUL_MODELS to the one with {MOBILENET}")
    return load(Path(folder) / MOBILENET), IMAGENET, cifar10_jpeg()


SOURCES: dict[str, Callable[[], tuple[Graph, Preprocessing, Dataset]]] = {
    "resnet20": partial(resnet, "resnet20"),
    "resnet8": partial(resnet, "resnet8"),
    "lenet16": lenet,
    "mobilenet": mobilenet,
}
NETWORKS = ("resnet20", "resnet8", "lenet16")


@cache
def network(name: str, images: int | None = None) -> Network:
    """A network on so many test images; on all where the number is not given."""
    graph, preprocessing, data = SOURCES[name]()
    chosen = np.random.default_rng(0).permutation(len(data.test_labels))[:images]
    x = preprocessing(data.test_images[chosen])
    count = CALIBRATION_IMAGES if images is None else 2 * FEW
    calibration = preprocessing(calibration_images(data, count))
    observed = observe(graph, calibration)
    exact = run_float(graph, x, keep=[graph.output])[graph.output].reshape(len(x), -1)
    return Network(graph, calibration, observed, x, data.test_labels[chosen], exact)


@cache
def scaled(name: str, images: int | None = None) -> tuple[Graph, Observations]:
    """The network with tensors that fill codes of 8 bits, and what calibration showed of it."""
    own = network(name, images)
    graph = equalize(own.graph, own.observed, find_scheme("int8"))
    return graph, observe(graph, own.calibration)


def quantized(name: str, scheme: str, images: int | None = None, **options) -> QuantizedGraph:
    """A network in integers, calibrated by KL divergence unless the options say otherwise."""
    own = network(name, images)
    return quantize(own.graph, own.observed, scheme, **{"calibration": "kl", **options})


def narrow(name: str, images: int | None = None, **options) -> QuantizedGraph:
    """A network of 8 bits, scaled to them, its radix points by KL divergence, then squared error.

    Widths of single tensors and other roundings by ``options``.
    """
    return quantize(*scaled(name, images), "int8", "kl", radix="mse", **options)


def whole(name: str, progress: Report) -> Values:
    """All figures of a network."""
    steps = 7
    progress(0, steps, "float")
    own = network(name)
    values: Values = {f"{name}.float": own.top1(own.exact)}
    sizes = {}
    for index, width in enumerate((8, 16, 32)):
        progress(index + 1, steps, f"{width} bits")
        qgraph = quantized(name, f"int{width}")
        sizes[width] = model_bytes(qgraph)
        outputs = predict(qgraph, own.x if width in WIDTHS else own.x[:SOME])
        key = f"{name}.w{width}"
        values |= {f"{key}.loss": own.loss(outputs), f"{key}.error": own.error(outputs)}
    values[f"{name}.w8.bytes"] = sizes[8]
    values |= {f"{name}.w8.of{width}": sizes[8] / sizes[width] for width in (16, 32)}
    progress(4, steps, "8 bits, stochastic")
    outputs = predict(quantized(name, "int8", rounding="stochastic"), own.x)
    values[f"{name}.w8.stochastic.loss"] = own.loss(outputs)
    progress(5, steps, "8 bits, equalized")
    outputs = predict(narrow(name), own.x)
    values[f"{name}.equalized.loss"] = own.loss(outputs)
    values[f"{name}.equalized.error"] = own.error(outputs)
    progress(6, steps, "8 and 16 bits")
    qgraph = narrow(name, widths=choose_widths(*scaled(name), MIXED_ERROR, radix="mse"))
    outputs = predict(qgraph, own.x)
    values |= {
        f"{name}.mixed.loss": own.loss(outputs),
        f"{name}.mixed.error": own.error(outputs),
        f"{name}.mixed.narrow": narrow_share(qgraph),
    }
    return values


def narrow_share(qgraph: QuantizedGraph) -> float:
    """Share of the multiply-accumulates that run at 8 bits."""
    layers = [layer for layer in qgraph.layers if isinstance(layer, QConv)]
    narrow = [layer.macs for layer in layers if layer_width(qgraph, layer) == 8]
    return sum(narrow) / sum(layer.macs for layer in layers)


def tails(progress: Report) -> Values:
    """A network with heavy-tailed activations, calibrated by its largest, by KL, by its error."""
    progress(0, 4, "float")
    own = network("mobilenet")
    values: Values = {"tails.float": own.top1(own.exact)}
    for index, (key, calibration) in enumerate(TAIL_METHODS.items()):
        progress(index + 1, 4, calibration)
        outputs = predict(quantized("mobilenet", "int8a4", calibration=calibration), own.x)
        values[f"tails.{key}"] = own.top1(outputs)
    values["tails.gain"] = values["tails.kl"] - values["tails.minmax"]
    return values


def sample(progress: Report) -> Values:
    """LeNet-like and ResNet-8 at all widths on a few images."""
    values: Values = {}
    for index, name in enumerate(("lenet16", "resnet8")):
        own = network(name, FEW)
        for part, width in enumerate((8, 16, 32)):
            progress(3 * index + part, 6, f"{name}, {width} bits")
            outputs = predict(quantized(name, f"int{width}", FEW), own.x)
            values[f"sample.{name}.w{width}.error"] = own.error(outputs)
    return values


def figures(name: str) -> list[Figure]:
    """Those of a network."""
    test = "10,000 test images of MNIST" if name == "lenet16" else "10,000 JPEG images"
    found = [Figure(f"{name}.float", "", free, f"top-1, {name}, {test}", form=".2f")]

    def add(key: str, bar: str, holds: Callable, how: str, form: str) -> None:
        published = PAPER.get(key, "")
        found.append(Figure(f"{name}.{key}", bar, holds, f"{how}, {name}", published, form))

    for width in (8, 16, 32):
        loss, error = WIDTHS.get(width, (None, None))
        images = test if width in WIDTHS else f"{SOME:,} of them"
        add(
            f"w{width}.loss",
            "" if loss is None else f"<= {loss}",
            free if loss is None else at_most(loss),
            f"points below float, {width} bits, {images}",
            ".2f",
        )
        add(
            f"w{width}.error",
            "" if error is None else f"< {error}",
            free if error is None else at_most(error),
            f"relative error of the outputs, {width} bits",
            ".2g",
        )
    add("w8.stochastic.loss", "", free, "points below float, 8 bits, stochastic rounding", ".2f")
    what = "8 bits, equalized"
    add("equalized.loss", "<= 0.3", at_most(0.3), f"points below float, {what}, {test}", ".2f")
    add("equalized.error", "< 0.02", at_most(0.02), f"relative error of the outputs, {what}", ".2g")
    what = "8 and 16 bits, equalized"
    add("mixed.loss", "<= 0.3", at_most(0.3), f"points below float, {what}, {test}", ".2f")
    add(
        "mixed.error",
        "< 0.02",
        at_most(0.02),
        f"relative error of the outputs, {what}",
        ".2g",
    )
    add("mixed.narrow", "", free, "share of multiply-accumulates at 8 bits, mixed", ".3f")
    add("w8.bytes", "", free, "weights and biases at 8 bits", ",d")
    add("w8.of16", "", free, "size against 16 bits", ".2f")
    add("w8.of32", "", free, "size against 32 bits", ".2f")
    return found


TAILS = "MobileNetV2-like, activations of 4 bits, 10,000 JPEG images"
SAMPLE = (f"LeNet-like and ResNet-8 on {FEW} images", sample)
MULTIWIDTH_ACCURACY = Benchmark(
    "multiwidth_accuracy",
    "Accuracy at the widths of one array",
    (
        *(figure for name in NETWORKS for figure in figures(name)),
        Figure("tails.float", "", free, f"top-1, float, {TAILS}", form=".2f"),
        Figure("tails.minmax", "", free, f"top-1, min-max, {TAILS}", form=".2f"),
        Figure("tails.kl", "", free, f"top-1, KL, {TAILS}", form=".2f"),
        Figure("tails.mse", "", free, f"top-1, squared error, {TAILS}", form=".2f"),
        Figure("tails.gain", ">= 5", at_least(5), f"points of KL above min-max, {TAILS}"),
        *(
            Figure(
                f"sample.{name}.w{width}.error",
                "",
                free,
                f"relative error of the outputs, {width} bits, {name}, {FEW} images",
                form=".2g",
            )
            for name in ("lenet16", "resnet8")
            for width in (8, 16, 32)
        ),
    ),
    quick=(SAMPLE,),
    long=(
        SAMPLE,
        *((f"{name} on all test images", partial(whole, name)) for name in NETWORKS),
        ("Heavy tails", tails),
    ),
)
main = MULTIWIDTH_ACCURACY.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.multiwidth_accuracy")
