"""AlexNet in integers with random weights of 3 bits: its shape, for what hangs on it alone.

The one-column network of Krizhevsky, "One weird trick for parallelizing convolutional neural
networks", 2014, as torchvision has it: its top-1 of 56.6 % is the one that PAPERS D names. Beside
it that of Krizhevsky, Sutskever, Hinton, NIPS 2012, with two groups of channels in three layers.
"""

from benchmarks.resnet18 import Builder
from quant.graph import Window
from quant.quantized import QuantizedGraph

__all__ = ["CONVOLUTIONS", "alexnet", "alexnet_2012"]

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
POOL = Window((3, 3), (2, 2))
# Output channels, groups of channels and padding of the five convolutions.
Columns = tuple[tuple[int, int, int], ...]
ONE = ((64, 1, 2), (192, 1, 2), (384, 1, 1), (256, 1, 1), (256, 1, 1))
TWO = ((96, 1, 0), (256, 2, 2), (384, 1, 1), (384, 2, 1), (256, 2, 1))


def alexnet(side: int = 224, divisor: int = 1, classifier: bool = False) -> QuantizedGraph:
    """The network with weights ``w3``, which are those of n = 3, and 8-bit activations.

    Parameters
    ----------
    side : int
        Rows and columns of the image.
    divisor : int
        Of the channels of all layers.
    classifier : bool
        Whether the fully connected layers are there, too.
    """
    b = Builder("w3", (3, side, side))
    x = convolutions(b, ONE, divisor)
    if classifier:
        whole = b.shapes[x][1]
        x = b.convolution("fc6", x, 4096 // divisor, whole, padding=0)
        x = b.convolution("fc7", x, 4096 // divisor, 1)
        b.convolution("fc8", x, 1000 // divisor, 1, relu=False)
    return b.graph("alexnet")


def alexnet_2012() -> QuantizedGraph:
    """The convolutions of the network of 2012."""
    b = Builder("w3", (3, 227, 227))
    convolutions(b, TWO, 1)
    return b.graph("alexnet-2012")


def convolutions(b: Builder, columns: Columns, divisor: int) -> str:
    """The five convolutions with their pools; the last layer's name."""
    x = "image"
    kernels = ((11, 4), (5, 1), (3, 1), (3, 1), (3, 1))
    for name, (channels, groups, padding), (kernel, stride) in zip(CONVOLUTIONS, columns, kernels):
        channels //= divisor
        x = b.convolution(name, x, channels, kernel, stride, padding=padding, groups=groups)
        if name in ("conv1", "conv2", "conv5"):
            x = b.max_pool(f"pool{name[-1]}", x, POOL)
    return x
