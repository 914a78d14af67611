"""Small networks and machines for tests of the models."""

from dataclasses import replace

from benchmarks.nin import nin
from benchmarks.resnet18 import CODES, Builder
from quant.graph import Window
from quant.quantized import QAvgPool, QuantizedGraph
from tests.machines import codebook_machine, convolver, machine, split_machine

LARGE = {"feature_words": 1 << 14, "weight_words": 1 << 17, "queue_words": 256}
MACHINES = (
    machine(8, 1, 1, "w4", **LARGE),
    machine(8, 3, 2, "w3", **LARGE),
    machine(4, 2, 4, "w4r", **LARGE),
    codebook_machine(5, 2, 2, **LARGE),
    convolver("svpe", 8, 1, 2, **LARGE),
    convolver("vpe", 4, 3, 1, **LARGE),
)
SPLIT = split_machine(4, **LARGE)
"""Its engine takes one pass whatever the weights."""


def residual(side: int = 16) -> QuantizedGraph:
    """A stem, a pool, a residual block with a stride, depthwise layers and a mean."""
    b = Builder("w3", (3, side, side))
    x = b.convolution("stem", "image", 12, 5, 2)
    x = b.max_pool("pool", x, Window((3, 3), (1, 1), (1, 1, 1, 1)))
    y = b.convolution("a", x, 20, 3, 2)
    x = b.convolution("skip", x, 20, 1, 2, relu=False)
    x = b.convolution("b", y, 20, 3, residual=x)
    x = b.convolution("depth", x, 20, 3, groups=20)
    channels, height, width = b.shapes[x]
    window = Window((height, width))
    scale = (height * width).bit_length() - 1
    x = b.add(QAvgPool("mean", (x,), (channels, 1, 1), CODES, 0, CODES.high, window, 1, scale))
    b.convolution("fc", x, 10, 1, relu=False)
    return b.graph("residual")


def networks() -> tuple[QuantizedGraph, ...]:
    """All networks."""
    return residual(), replace(nin(8, 12), name="pointwise")
