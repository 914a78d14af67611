"""Trained networks with codebooks: ``python -m benchmarks.clipq [--json FILE] [--quick]``.

The weights lie in ``benchmarks/trained`` with the command, the recipe and the log that made them
(docs/training.md). Needs ``NOMUL_DATA`` and ``NOMUL_MODELS``.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from torch import nn

from benchmarks.accuracy import top1
from benchmarks.figures import Benchmark, Figure, Values, at_least, at_most, free
from benchmarks.nbq import CALIBRATION_IMAGES, TRAINED, Chain, data, outputs
from nomul.output import Report
from quant.codebooks import Size
from quant.datasets import calibration_images
from quant.errors import NoMulError
from quant.floating import run_float
from quant.importers import load
from quant.networks import PRETRAINED, pretrained
from quant.quantize import quantize
from quant.training.trained import Trained, codebooks, load_trained

__all__ = ["CLIPQ", "NETWORKS", "main", "sample", "sizes"]

BITS = 2
NETWORKS = {"nin": 0.3, "resnet20": 1.5}
"""Points that each may lose."""

SAMPLE_IMAGES = 100
PAPER = {
    "nin.float": "90.88, lossless images",
    "nin.clipq": "90.73",
    "nin.clipq.loss": "0.15",
    "nin.zeros": "0.2",
}
"""Cheng, Lin, Shih: NIN on CIFAR-10."""


def trained(name: str, kind: str) -> Trained:
    """A network of ``benchmarks/trained``: its kind is ``float`` or ``clipq<bits>``.

    Errors: :class:`NoMulError` where it has not been trained.
    """
    path = TRAINED / f"{name}_{kind}.pt"
    if not path.is_file():
        raise NoMulError(
            f"benchmarks/trained has no {path.name}; train it first, as docs/training.md shows"
        )
    return load_trained(path)


def chain(found: Trained) -> Chain:
    """A trained network with codebooks, imported and quantized."""
    graph = load(found.model, found.trainable.input_shape, found.name)
    images = found.preprocessing(calibration_images(data(), CALIBRATION_IMAGES))
    return Chain(graph, quantize(graph, images, f"clipq{BITS}"), found.preprocessing)


def sizes(found: Trained) -> Values:
    """Share of zeros, bytes and compression of a network with codebooks."""
    coded = codebooks(found.model)
    if coded is None:
        raise NoMulError(
            f"the trained {found.name} has weights without a codebook; train it with: "
            "nomul train --method clipq"
        )
    total = Size.total(weight.size for weight in coded.values())
    return {
        f"{found.name}.zeros": total.zeros / total.weights,
        f"{found.name}.bytes": total.bytes,
        f"{found.name}.compression": total.compression,
    }


def network(name: str, progress: Report) -> Values:
    """Accuracies of a network on all test images, float and with codebooks.

    Float is the network that training with codebooks began with: a pretrained one, where there is
    one of that name, else the trained one, which for pretrained networks is the float twin, trained
    further for longer than that with codebooks.
    """
    labels = data().test_labels
    found = trained(name, f"clipq{BITS}")
    made, own = chain(found), trained(name, "float")
    x = made.preprocessing(data().test_images)

    def exact(model: nn.Module) -> float:
        graph = load(model, own.trainable.input_shape, name)
        return top1(run_float(graph, x, keep=[graph.output])[graph.output], labels)

    progress(0, 3, "float")
    start = exact(pretrained(name)[0] if name in PRETRAINED else own.model)
    progress(1, 3, "codebooks")
    scores = outputs(made.qgraph, x)
    accuracy = top1(scores, labels)
    progress(2, 3, "codebooks, evaluated")
    figures = {
        f"{name}.float": start,
        f"{name}.clipq": accuracy,
        f"{name}.clipq.loss": start - accuracy,
        f"{name}.mismatches": made.mismatches(x, scores),
        **sizes(found),
    }
    if name in PRETRAINED:
        figures[f"{name}.clipq.twin_loss"] = exact(own.model) - accuracy
    return figures


def sample(progress: Report) -> Values:
    """Sizes of ResNet-20, and its right answers and mismatches on a few mixed test images."""
    chosen = np.random.default_rng(0).permutation(len(data().test_labels))[:SAMPLE_IMAGES]
    found = trained("resnet20", f"clipq{BITS}")
    made = chain(found)
    x = made.preprocessing(data().test_images[chosen])
    scores = outputs(made.qgraph, x)
    return {
        "sample.clipq": top1(scores, data().test_labels[chosen]),
        "sample.mismatches": made.mismatches(x, scores),
        **sizes(found),
    }


def figures(name: str) -> list[Figure]:
    """Those of a network."""
    how = f"{name}, {BITS} bits, activations 8, 10,000 JPEG images"
    layers = f"weights of {name}"

    def figure(key: str, bar: str, holds: Callable, text: str, form: str = ".2f") -> Figure:
        return Figure(f"{name}.{key}", bar, holds, text, PAPER.get(f"{name}.{key}", ""), form)

    limit = NETWORKS[name]
    least = {"nin": (84.0, ">= 84")}.get(name)
    twin = []
    if name in PRETRAINED:
        twin.append(figure("clipq.twin_loss", "", free, f"points below the float twin, {how}"))
    return [
        figure(
            "float",
            least[1] if least else "",
            at_least(least[0]) if least else free,
            f"top-1, {name}, 10,000 JPEG images",
        ),
        figure("clipq", "", free, f"top-1, {how}"),
        figure("clipq.loss", f"<= {limit}", at_most(limit), f"points below float, {how}"),
        *twin,
        figure("zeros", ">= 0.2", at_least(0.2), f"share of 0, {layers}", ".4f"),
        figure("bytes", "", free, f"indices, codebooks and powers of two, {layers}", ",d"),
        figure("compression", "", free, f"times smaller than float32, {layers}"),
        figure("mismatches", "0", at_most(0), f"classes, evaluated and reference, {how}", ",d"),
    ]


FEW = f"resnet20, {BITS} bits, {SAMPLE_IMAGES} images"
SAMPLE = (f"ResNet-20 on {SAMPLE_IMAGES} images", sample)
CLIPQ = Benchmark(
    "clipq",
    "Figures of training with codebooks",
    (
        *figures("nin"),
        *figures("resnet20"),
        Figure("sample.clipq", "", free, f"top-1, {FEW}", form=".2f"),
        Figure("sample.mismatches", "0", at_most(0), f"classes, evaluated and reference, {FEW}"),
    ),
    quick=(SAMPLE,),
    long=(
        SAMPLE,
        ("Network in network", partial(network, "nin")),
        ("ResNet-20", partial(network, "resnet20")),
    ),
)
main = CLIPQ.command()

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.clipq")
