"""VGG-16, ResNet-50 and a MobileNet in integers with random weights: their shapes.

Simonyan and Zisserman, ICLR 2015; He et al., CVPR 2016, with the stride in the 3x3 convolution as
torchvision has it; Howard et al., "MobileNets", 2017. See :mod:`benchmarks.resnet18`.
"""

from collections.abc import Callable

from benchmarks.resnet18 import CODES, Builder
from quant.graph import Window
from quant.quantized import QAvgPool, QuantizedGraph

__all__ = ["LARGE_NETWORKS", "mobilenet", "resnet50", "vgg16"]

VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels of the 3x3 convolutions of a stage, and how many; a pool of 2x2 behind each stage."""
RESNET50 = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels of the blocks of a stage, and how many."""
MOBILENET = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Outputs of each pair of a depthwise and a 1x1 convolution, and the stride of the first."""


def vgg16(
    scheme: str, side: int = 224, divisor: int = 1, classifier: bool = False
) -> QuantizedGraph:
    """13 convolutions; ``classifier``: and the three fully connected layers."""
    b, x = Builder(scheme, (3, side, side)), "image"
    for stage, (channels, count) in enumerate(VGG16, 1):
        for number in range(1, count + 1):
            x = b.convolution(f"conv{stage}_{number}", x, channels // divisor, 3)
        x = b.max_pool(f"pool{stage}", x, Window((2, 2), (2, 2)))
    if classifier:
        x = b.convolution("fc6", x, 4096 // divisor, b.shapes[x][1], padding=0)
        x = b.convolution("fc7", x, 4096 // divisor, 1)
        b.convolution("fc8", x, 1000 // divisor, 1, relu=False)
    return b.graph("vgg16")


def resnet50(scheme: str, side: int = 224, divisor: int = 1) -> QuantizedGraph:
    """16 blocks of 1x1, 3x3 and 1x1 convolutions."""
    b = Builder(scheme, (3, side, side))
    x = b.convolution("conv1", "image", 64 // divisor, 7, 2)
    x = b.max_pool("maxpool", x, Window((3, 3), (2, 2), (1, 1, 1, 1)))
    for stage, (channels, count) in enumerate(RESNET50, 1):
        width = channels // divisor
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            y = b.convolution(f"{name}.conv1", x, width, 1)
            y = b.convolution(f"{name}.conv2", y, width, 3, stride)
            if block == 0:
                x = b.convolution(f"{name}.downsample", x, 4 * width, 1, stride, relu=False)
            x = b.convolution(f"{name}.conv3", y, 4 * width, 1, residual=x)
    return classified(b, x, "resnet50", divisor)


def mobilenet(scheme: str, side: int = 224, divisor: int = 1) -> QuantizedGraph:
    """13 depthwise convolutions, each with a 1x1 convolution behind it."""
    b = Builder(scheme, (3, side, side))
    x = b.convolution("conv1", "image", 32 // divisor, 3, 2)
    for number, (channels, stride) in enumerate(MOBILENET):
        inputs = b.shapes[x][0]
        x = b.convolution(f"depth{number}", x, inputs, 3, stride, groups=inputs)
        x = b.convolution(f"point{number}", x, channels // divisor, 1)
    return classified(b, x, "mobilenet", divisor)


def classified(b: Builder, x: str, name: str, divisor: int) -> QuantizedGraph:
    """With the mean of the map and a fully connected layer behind."""
    channels, height, width = b.shapes[x]
    # As many bits of 1 / 49 as :func:`benchmarks.resnet18.resnet18` has.
    shift = 7 + (height * width).bit_length()
    factor = round(2**shift / (height * width))
    window = Window((height, width))
    shape = (channels, 1, 1)
    x = b.add(QAvgPool("avgpool", (x,), shape, CODES, 0, CODES.high, window, factor, shift))
    b.convolution("fc", x, 1000 // divisor, 1, relu=False)
    return b.graph(name)


LARGE_NETWORKS: dict[str, Callable[..., QuantizedGraph]] = {
    "vgg16": vgg16,
    "resnet50": resnet50,
    "mobilenet": mobilenet,
}
