"""ResNet-18 at 224 x 224 in integers with random weights: its shape, for what hangs on it alone.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. Cycles and the use of the
array depend on the shapes of the layers, not on the weights.
"""

import numpy as np

from quant.graph import Shape, Window
from quant.numbers import Format
from quant.quantized import QAvgPool, QConv, QLayer, QMaxPool, QuantizedGraph
from quant.weight_formats import weight_format

__all__ = ["Builder", "resnet18"]

CODES = Format(8, signed=False, fraction=4)
IMAGE = Format(8, signed=True, fraction=5)


class Builder:
    """Layers in order; every convolution keeps the scale of its tensors."""

    def __init__(self, scheme: str, image: Shape) -> None:
        self.scheme = scheme
        self.levels = weight_format(scheme).levels
        self.rng = np.random.default_rng(18)
        self.layers: list[QLayer] = []
        self.shapes: dict[str, Shape] = {"image": image}

    def add(self, layer: QLayer) -> str:
        """Append a layer; its name."""
        self.layers.append(layer)
        self.shapes[layer.name] = layer.shape
        return layer.name

    def max_pool(self, name: str, source: str, window: Window) -> str:
        """The largest code of each window."""
        channels, height, width = self.shapes[source]
        shape = (channels, *window.output_size(height, width))
        return self.add(QMaxPool(name, (source,), shape, CODES, 0, CODES.high, window))

    def graph(self, name: str) -> QuantizedGraph:
        """The network; its output is that of the last layer."""
        layers = tuple(self.layers)
        shape = self.shapes["image"]
        return QuantizedGraph(name, "image", shape, IMAGE, layers, layers[-1].name, self.scheme)

    def weights(self, size: tuple[int, ...]) -> np.ndarray:
        """Random levels, as many positive as negative."""
        return self.rng.choice(self.levels, size) * self.rng.choice([-1, 1], size)

    def convolution(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int,
        stride: int = 1,
        residual: str | None = None,
        relu: bool = True,
        padding: int | None = None,
        groups: int = 1,
    ) -> str:
        """A convolution; padding is half the kernel where it is not given."""
        channels_in, height, width = self.shapes[source]
        inputs = channels_in // groups
        around = kernel // 2 if padding is None else padding
        window = Window((kernel, kernel), (stride, stride), (around,) * 4)
        shape = (channels, *window.output_size(height, width))
        size = (channels, inputs, kernel, kernel)
        weight = self.weights(size)
        # About one standard deviation of a sum stays in the middle of the codes.
        spread = np.sqrt((weight**2).mean() * inputs * kernel**2)
        each = np.ones(channels, np.int32)
        out = CODES if relu else Format(8, signed=True, fraction=CODES.fraction)
        shift = int(np.ceil(np.log2(spread)))
        fraction = shift + out.fraction - (IMAGE if source == "image" else CODES).fraction
        return self.add(
            QConv(
                name=name,
                inputs=(source,) if residual is None else (source, residual),
                shape=shape,
                format=out,
                low=out.low,
                high=out.high,
                weight=weight.astype(np.int32),
                weight_fraction=fraction * each,
                bias=np.zeros(channels, np.int64),
                shift=shift * each,
                residual_shift=shift * each if residual else 0 * each,
                window=window,
                groups=groups,
                scheme=self.scheme,
            )
        )


def resnet18(scheme: str) -> QuantizedGraph:
    """The network with weights of a weight format and 8-bit activations."""
    b = Builder(scheme, (3, 224, 224))
    b.convolution("conv1", "image", 64, 7, 2)
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    x = b.max_pool("maxpool", "conv1", window)
    for stage, channels in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            y = b.convolution(f"{name}.conv1", x, channels, 3, stride)
            if stride == 2:
                x = b.convolution(f"{name}.downsample", x, channels, 1, stride, relu=False)
            x = b.convolution(f"{name}.conv2", y, channels, 3, residual=x)
    # 1 / 49 is about 167 / 2**13.
    window = Window((7, 7))
    x = b.add(QAvgPool("avgpool", (x,), (512, 1, 1), CODES, 0, CODES.high, window, 167, 13))
    b.convolution("fc", x, 1000, 1, relu=False)
    return b.graph("resnet18")
