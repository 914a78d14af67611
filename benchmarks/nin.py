"""Network in network in integers with a random codebook a layer: its shape, for what hangs on it.

The layers that Cheng, Lin, Shih (TCSI 2022, PAPERS E) have for CIFAR-10. Cycles and the use of the
array depend on the shapes of the layers, not on the weights.
"""

import numpy as np

from benchmarks.resnet18 import Builder
from quant.graph import Window
from quant.quantized import QAvgPool, QuantizedGraph

__all__ = ["CodebookBuilder", "nin"]

LAYERS = ((96, 3), (160, 1), (192, 1), (96, 3), (192, 1), (192, 1), (384, 3), (192, 1), (10, 1))
"""Output channels and kernel; a pool of 2x2 behind every third but the last."""
ZEROS = 0.2


class CodebookBuilder(Builder):
    """Layers whose weights are zero, one of two negative values or a positive one."""

    def weights(self, size: tuple[int, ...]) -> np.ndarray:
        """A fifth zeros; values of 8 bits with 5 of them behind the point."""
        low, middle = -self.rng.integers(16, 48), -self.rng.integers(1, 16)
        book = np.array([0, low, middle, self.rng.integers(8, 40)])
        each = (1 - ZEROS) / 4
        return self.rng.choice(book, size, p=[ZEROS, each, each, 2 * each])


def nin(side: int = 32, divisor: int = 1) -> QuantizedGraph:
    """The network with 8-bit activations.

    Parameters
    ----------
    side : int
        Rows and columns of the image, a multiple of 4.
    divisor : int
        Of the channels of all layers but the last.
    """
    b = CodebookBuilder("w3", (3, side, side))
    x = "image"
    for n, (channels, kernel) in enumerate(LAYERS, 1):
        last = n == len(LAYERS)
        outputs = channels if last else channels // divisor
        x = b.convolution(f"conv{n}", x, outputs, kernel, relu=not last)
        if n % 3 == 0 and not last:
            x = b.max_pool(f"pool{n // 3}", x, Window((2, 2), (2, 2)))
    rest = side // 4
    scale = (rest * rest).bit_length() - 1
    shape = (LAYERS[-1][0], 1, 1)
    fmt = b.layers[-1].format
    window = Window((rest, rest))
    b.add(QAvgPool("average", (x,), shape, fmt, fmt.low, fmt.high, window, 1, scale))
    return b.graph("nin")
