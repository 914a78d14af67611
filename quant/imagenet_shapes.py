"""Networks for images of 224 x 224 by their shapes alone: VGG-16 and ResNet-18, -34 and -50.

Simonyan and Zisserman, ICLR 2015; He et al., CVPR 2016, ResNet-50 with its stride in the 3x3
convolution as torchvision has it. What hangs on shapes only, such as cycles, needs no weights:
arrays are zeros that take no memory.
"""

import math
from collections.abc import Callable

import numpy as np

from quant.errors import NoMulError
from quant.graph import Add, AvgPool, Clip, Conv, Graph, Layer, MaxPool, Shape, Window

__all__ = ["IMAGENET_SHAPES", "imagenet_shape"]

IMAGE: Shape = (3, 224, 224)
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels of the 3x3 convolutions of a stage, and how many; a pool of 2x2 behind each stage."""


class Builder:
    """Layers in order."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.shapes: dict[str, Shape] = {"image": IMAGE}

    def add(self, layer: Layer) -> str:
        """Append a layer; its name."""
        self.layers.append(layer)
        self.shapes[layer.name] = layer.shape
        return layer.name

    def relu(self, source: str) -> str:
        """``max(x, 0)``."""
        return self.add(Clip(f"{source}.relu", (source,), self.shapes[source], 0.0, math.inf))

    def conv(self, name: str, source: str, channels: int, kernel: int, stride: int = 1) -> str:
        """A convolution that keeps the map, but for its stride."""
        inputs, height, width = self.shapes[source]
        window = Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        shape = (channels, *window.output_size(height, width))
        return self.add(weightless(name, source, shape, inputs, window))

    def linear(self, name: str, source: str, outputs: int) -> str:
        """A convolution that covers its input."""
        inputs, height, width = self.shapes[source]
        return self.add(weightless(name, source, (outputs, 1, 1), inputs, Window((height, width))))

    def max_pool(self, name: str, source: str, window: Window) -> str:
        """The largest value of each window."""
        channels, height, width = self.shapes[source]
        shape = (channels, *window.output_size(height, width))
        return self.add(MaxPool(name, (source,), shape, window))

    def graph(self, name: str) -> Graph:
        """The network; its output is that of the last layer."""
        return Graph(name, "image", IMAGE, tuple(self.layers), self.layers[-1].name)


def weightless(name: str, source: str, shape: Shape, inputs: int, window: Window) -> Conv:
    size = (shape[0], inputs, *window.kernel)
    weight = np.broadcast_to(np.float32(0), size)
    return Conv(name, (source,), shape, weight, np.broadcast_to(np.float32(0), shape[:1]), window)


def vgg16() -> Graph:
    """13 convolutions of 3x3 and three linear layers."""
    b, x = Builder(), "image"
    for stage, (channels, count) in enumerate(VGG16, 1):
        for number in range(1, count + 1):
            x = b.relu(b.conv(f"conv{stage}_{number}", x, channels, 3))
        x = b.max_pool(f"pool{stage}", x, Window((2, 2), (2, 2)))
    for number, outputs in enumerate((4096, 4096), 6):
        x = b.relu(b.linear(f"fc{number}", x, outputs))
    b.linear("fc8", x, 1000)
    return b.graph("vgg16")


def resnet(name: str, counts: tuple[int, ...], bottleneck: bool) -> Graph:
    """A residual network with so many blocks in its four stages."""
    b = Builder()
    x = b.relu(b.conv("conv1", "image", 64, 7, 2))
    x = b.max_pool("maxpool", x, Window((3, 3), (2, 2), (1, 1, 1, 1)))
    for stage, count in enumerate(counts):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            x = residual(b, f"layer{stage + 1}.{block}", x, 64 << stage, stride, bottleneck)
    channels, height, width = b.shapes[x]
    x = b.add(AvgPool("avgpool", (x,), (channels, 1, 1), Window((height, width))))
    b.linear("fc", x, 1000)
    return b.graph(name)


def residual(b: Builder, name: str, x: str, width: int, stride: int, bottleneck: bool) -> str:
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1, and the addition of their input."""
    if bottleneck:
        outputs = 4 * width
        y = b.relu(b.conv(f"{name}.conv1", x, width, 1))
        y = b.relu(b.conv(f"{name}.conv2", y, width, 3, stride))
        y = b.conv(f"{name}.conv3", y, outputs, 1)
    else:
        outputs = width
        y = b.relu(b.conv(f"{name}.conv1", x, width, 3, stride))
        y = b.conv(f"{name}.conv2", y, width, 3)
    if stride > 1 or b.shapes[x][0] != outputs:
        x = b.conv(f"{name}.downsample", x, outputs, 1, stride)
    return b.relu(b.add(Add(f"{name}.add", (y, x), b.shapes[y])))


IMAGENET_SHAPES: dict[str, Callable[[], Graph]] = {
    "vgg16": vgg16,
    "resnet18": lambda: resnet("resnet18", (2, 2, 2, 2), False),
    "resnet34": lambda: resnet("resnet34", (3, 4, 6, 3), False),
    "resnet50": lambda: resnet("resnet50", (3, 4, 6, 3), True),
}


def imagenet_shape(name: str) -> Graph:
    """The network of a name. Errors: :class:`NoMulError` that lists the known names."""
    if name not in IMAGENET_SHAPES:
        raise NoMulError(f"no shape {name}; known are {', '.join(IMAGENET_SHAPES)}")
    return IMAGENET_SHAPES[name]()
