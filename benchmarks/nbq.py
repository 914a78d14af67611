"""Trained networks with weights of n bits: ``python -m benchmarks.nbq [--json FILE] [--quick]``.

The weights lie in ``benchmarks/trained`` with the command, the recipe and the log that made them
(docs/training.md). Needs ``NOMUL_DATA`` and ``NOMUL_MODELS``.
"""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy import top1
from benchmarks.figures import Benchmark, Figure, Values, at_most, free
from nomul.output import Report
from quant.datasets import Dataset, calibration_images, cifar10_jpeg
from quant.floating import run_float
from quant.graph import Graph
from quant.importers import load
from quant.networks import Preprocessing
from quant.numbers import count_terms
from quant.quantize import quantize
from quant.quantized import QConv, QuantizedGraph
from quant.reference import predict
from quant.training.evaluate import evaluate
from quant.training.trained import load_trained

__all__ = ["NBQ", "TRAINED", "Chain", "chain", "data", "main", "sample"]

TRAINED = Path(__file__).parent / "trained"
CALIBRATION_IMAGES = 256
SAMPLE_IMAGES = 200

PAPER = {5: 0.43, 4: 0.46, 3: 0.54, 2: 2.15, 1: 3.91}
"""Points that ResNet-110 loses with n bits: Chen et al., float 6.61 % error."""

BARS = {"resnet20": {3: 0.7, 4: 0.4}, "resnet8": {4: 1.0}}
BITS = {"resnet20": (1, 2, 3, 4, 5), "resnet8": (4,)}


@dataclass(frozen=True)
class Chain:
    """A trained network on its way to the machine.

    Parameters
    ----------
    graph : Graph
        With the weights as they were trained.
    qgraph : QuantizedGraph
        With 8-bit activations.
    preprocessing : Preprocessing
    """

    graph: Graph
    qgraph: QuantizedGraph
    preprocessing: Preprocessing

    @property
    def terms(self) -> int:
        """Largest number of terms of a weight."""
        layers = [layer for layer in self.qgraph.layers if isinstance(layer, QConv)]
        return max(int(count_terms(layer.weight).max()) for layer in layers)

    def mismatches(self, images: np.ndarray, found: np.ndarray) -> int:
        """Images for which the evaluated network's largest output is not that of ``found``."""
        expected = evaluate(self.graph, self.qgraph, images)
        return int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())


@cache
def data() -> Dataset:
    """The JPEG images."""
    return cifar10_jpeg()


def chain(name: str, bits: int) -> Chain:
    """The trained network ``<name>_nbq<bits>``, imported and quantized."""
    trained = load_trained(TRAINED / f"{name}_nbq{bits}.pt")
    graph = load(trained.model, trained.trainable.input_shape, name)
    images = trained.preprocessing(calibration_images(data(), CALIBRATION_IMAGES))
    return Chain(graph, quantize(graph, images, f"nbq{bits}"), trained.preprocessing)


def outputs(qgraph: QuantizedGraph, images: np.ndarray) -> np.ndarray:
    """What the integer reference gives: (images, classes)."""
    return predict(qgraph, images).reshape(len(images), -1)


def network(name: str, progress: Report) -> Values:
    """Accuracies of a float network and of all that were quantized from where it began."""
    images, labels = data().test_images, data().test_labels
    progress(0, len(BITS[name]) + 1, "float")
    trained = load_trained(TRAINED / f"{name}_float.pt")
    graph = load(trained.model, trained.trainable.input_shape, name)
    x = trained.preprocessing(images)
    exact = top1(run_float(graph, x, keep=[graph.output])[graph.output], labels)
    found: Values = {f"{name}.float": exact}
    mismatches = terms = 0
    for index, bits in enumerate(BITS[name]):
        progress(index + 1, len(BITS[name]) + 1, f"{bits} bits")
        made = chain(name, bits)
        scores = outputs(made.qgraph, x)
        accuracy = top1(scores, labels)
        found[f"{name}.nbq{bits}"] = accuracy
        found[f"{name}.nbq{bits}.loss"] = exact - accuracy
        mismatches += made.mismatches(x, scores)
        terms = max(terms, made.terms)
    return {**found, f"{name}.mismatches": mismatches, f"{name}.terms": terms}


def sample(progress: Report) -> Values:
    """Right answers and mismatches of 3-bit ResNet-20 on a few mixed test images."""
    chosen = np.random.default_rng(0).permutation(len(data().test_labels))[:SAMPLE_IMAGES]
    made = chain("resnet20", 3)
    x = made.preprocessing(data().test_images[chosen])
    scores = outputs(made.qgraph, x)
    return {
        "sample.nbq3": top1(scores, data().test_labels[chosen]),
        "sample.mismatches": made.mismatches(x, scores),
    }


def figures(name: str) -> list[Figure]:
    """Those of a network."""
    images = f"{name}, 10,000 JPEG images"
    found = [
        Figure(
            f"{name}.float", "", free, f"top-1, {images}, as many more epochs or more", form=".2f"
        )
    ]
    for bits in BITS[name]:
        bar = BARS[name].get(bits)
        paper = f"{PAPER[bits]}, the paper's ResNet-110" if name == "resnet20" else ""
        how = f"{bits} bits, activations 8, {images}"
        found += [
            Figure(f"{name}.nbq{bits}", "", free, f"top-1, {how}", form=".2f"),
            Figure(
                f"{name}.nbq{bits}.loss",
                f"<= {bar}" if bar else "",
                at_most(bar) if bar else free,
                f"points below float, {how}",
                paper,
                ".2f",
            ),
        ]
    return [
        *found,
        Figure(
            f"{name}.mismatches", "0", at_most(0), f"classes, evaluated and reference, {images}"
        ),
        Figure(f"{name}.terms", "1", at_most(1), f"most terms of a weight, {name}, all widths"),
    ]


FEW = f"resnet20, 3 bits, {SAMPLE_IMAGES} images"
FIGURES = (
    *figures("resnet20"),
    *figures("resnet8"),
    Figure("sample.nbq3", "", free, f"top-1, {FEW}", form=".2f"),
    Figure("sample.mismatches", "0", at_most(0), f"classes, evaluated and reference, {FEW}"),
)
SAMPLE = (f"3-bit ResNet-20 on {SAMPLE_IMAGES} images", sample)
NBQ = Benchmark(
    "nbq",
    "Figures of n-bit training",
    FIGURES,
    quick=(SAMPLE,),
    long=(
        SAMPLE,
        ("ResNet-20, all widths", partial(network, "resnet20")),
        ("ResNet-8", partial(network, "resnet8")),
    ),
)
main = NBQ.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.nbq")
