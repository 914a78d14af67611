"""Small random quantized networks that use everything a machine can do."""

from dataclasses import dataclass, field

import numpy as np

from quant.graph import Shape, Window
from quant.numbers import Format
from quant.quantized import (
    QAdd,
    QAvgPool,
    QConcat,
    QConv,
    QLayer,
    QMaxPool,
    QRequantize,
    QuantizedGraph,
    QUpsample,
)

__all__ = ["NetworkBuilder", "random_codes", "random_network"]


@dataclass
class NetworkBuilder:
    """Appends layers with random contents to a graph.

    Formats of ``bits``, or each of one of ``mixed``; weights of ``weight_bits``. With
    ``stochastic`` some layers round with noise.
    """

    shape: Shape
    source: np.random.Generator
    bits: int = 8
    signed: bool = True
    weight_bits: int = 8
    mixed: tuple[int, ...] = ()
    stochastic: bool = False
    layers: list[QLayer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shapes = {"input": self.shape}
        self.formats = {"input": Format(self.bits, self.signed, 4)}
        self.low = {"input": self.formats["input"].low}
        self.high = {"input": self.formats["input"].high}

    def add(self, layer: QLayer) -> str:
        """Append a layer; its name."""
        self.layers.append(layer)
        self.shapes[layer.name] = layer.shape
        self.formats[layer.name] = layer.format
        self.low[layer.name], self.high[layer.name] = layer.low, layer.high
        return layer.name

    def common(self, inputs: tuple[str, ...], shape: Shape, like: str | None = None) -> dict:
        """Name, inputs, shape, format and limits; those of tensor ``like``, or random ones."""
        if like is None:
            signed = bool(self.source.integers(2))
            bits = int(self.source.choice(self.mixed)) if self.mixed else self.bits
            fmt = Format(bits, signed, int(self.source.integers(0, 8)))
        else:
            fmt = self.formats[like]
        low, high = fmt.low, fmt.high
        if self.source.integers(3) == 0:
            low, high = max(low, 0), high - int(self.source.integers(0, 4))
        name = f"layer{len(self.layers)}"
        return dict(name=name, inputs=inputs, shape=shape, format=fmt, low=low, high=high)

    def rounding(self) -> dict:
        """Rounding of a layer that requantizes."""
        if not self.stochastic or self.source.integers(2):
            return {}
        return dict(rounding="stochastic", seed=int(self.source.integers(1, 1 << 32)))

    def conv(
        self,
        x: str,
        outputs: int,
        window: Window = Window(),  # noqa: B008
        groups: int = 1,
        residual: str | None = None,
    ) -> str:
        """A convolution; ``residual`` must have its output's shape."""
        inputs, height, width = self.shapes[x]
        half = 1 << self.weight_bits - 1
        shape = (outputs, *window.output_size(height, width))
        size = (outputs, inputs // groups, *window.kernel)
        weight = self.source.integers(-half, half, size).astype(np.int32)
        if self.source.integers(2):
            # Few terms: powers of two only.
            exponent = self.source.integers(0, self.weight_bits - 1, size)
            weight = (np.sign(weight) << exponent).astype(np.int32)
        room = int(np.log2(max(1, weight[0].size))) + self.weight_bits
        shift = self.source.integers(max(0, room - 4), room + 2, outputs).astype(np.int32)
        # Residual fraction - output fraction.
        change = int(self.source.integers(-3, min(3, shift.min()) + 1))
        return self.add(
            QConv(
                **self.common((x, residual) if residual else (x,), shape),
                weight=weight,
                weight_fraction=np.zeros(outputs, np.int32),
                bias=self.source.integers(-4000, 4000, outputs),
                shift=shift,
                residual_shift=shift - np.int32(change) if residual else 0 * shift,
                window=window,
                groups=groups,
                scheme="random",
                **self.rounding(),
            )
        )

    def max_pool(self, x: str, window: Window) -> str:
        """Max pooling."""
        channels, height, width = self.shapes[x]
        shape = (channels, *window.output_size(height, width))
        return self.add(QMaxPool(**self.common((x,), shape, x), window=window))

    def avg_pool(self, x: str, window: Window) -> str:
        """Average pooling."""
        channels, height, width = self.shapes[x]
        shape = (channels, *window.output_size(height, width))
        scale = 0
        while (1 << scale + 1) / window.positions < 256 and (1 << scale) % window.positions:
            scale += 1
        multiplier = round((1 << scale) / window.positions)
        return self.add(
            QAvgPool(
                **self.common((x,), shape, x),
                **self.rounding(),
                window=window,
                multiplier=multiplier,
                shift=scale,
            )
        )

    def sum(self, a: str, b: str) -> str:
        """A residual addition."""
        left = int(self.source.integers(0, 5))
        shifts = (left, 0) if self.source.integers(2) else (0, left)
        shift = int(self.source.integers(max(0, left - 3), left + 4))
        fields = self.common((a, b), self.shapes[a]) | self.rounding()
        return self.add(QAdd(**fields, shifts=shifts, shift=shift))

    def concat(self, *inputs: str) -> str:
        """A concatenation; all inputs must have one format."""
        channels = sum(self.shapes[name][0] for name in inputs)
        shape = (channels, *self.shapes[inputs[0]][1:])
        return self.add(QConcat(**self.common(inputs, shape, inputs[0])))

    def upsample(self, x: str, factor: tuple[int, int]) -> str:
        """Nearest upsampling."""
        channels, height, width = self.shapes[x]
        shape = (channels, height * factor[0], width * factor[1])
        return self.add(QUpsample(**self.common((x,), shape, x), factor=factor))

    def requantize(self, x: str) -> str:
        """Another format."""
        left, shift = (int(v) for v in self.source.integers(0, 4, 2))
        fields = self.common((x,), self.shapes[x]) | self.rounding()
        return self.add(QRequantize(**fields, left=left, shift=shift))

    def same_format(self, x: str, like: str) -> str:
        """A copy of a tensor in another's format."""
        fields = self.common((x,), self.shapes[x], like)
        return self.add(QRequantize(**fields, left=0, shift=1))

    def graph(self, name: str = "random") -> QuantizedGraph:
        """The graph, whose output is the last layer."""
        return QuantizedGraph(
            name=name,
            input="input",
            input_shape=self.shape,
            input_format=self.formats["input"],
            layers=tuple(self.layers),
            output=self.layers[-1].name,
            scheme="random",
        )


def random_codes(graph: QuantizedGraph, images: int, source: np.random.Generator) -> np.ndarray:
    """Images of codes over the whole range, the first of extremes only."""
    fmt = graph.input_format
    codes = source.integers(fmt.low, fmt.high + 1, (images, *graph.input_shape))
    codes[0] = np.where(source.integers(0, 2, codes[0].shape), fmt.low, fmt.high)
    return codes


def random_window(
    source: np.random.Generator, height: int, width: int, inside: bool = False
) -> Window:
    """A window that fits a map; ``inside``: no position sees padding alone."""
    while True:
        window = Window(
            kernel=tuple(source.integers(1, 4, 2).tolist()),
            stride=tuple(source.integers(1, 3, 2).tolist()),
            padding=tuple(source.integers(0, 3, 4).tolist()),
            dilation=tuple(source.integers(1, 3, 2).tolist()),
        )
        if min(window.output_size(height, width)) < 1:
            continue
        if not inside or all(sees_map(window, axis, n) for axis, n in enumerate((height, width))):
            return window


def sees_map(window: Window, axis: int, size: int) -> bool:
    """Whether every output row (axis 0) or column (axis 1) sees an input."""
    outputs = window.output_size(*((size, 1 << 20) if axis == 0 else (1 << 20, size)))[axis]
    first = np.arange(outputs) * window.stride[axis] - window.padding[axis]
    seen = first[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
    return bool(((seen >= 0) & (seen < size)).any(axis=1).all())


def random_network(
    seed: int,
    layers: int = 8,
    weight_bits: int = 8,
    bits: int = 8,
    mixed: tuple[int, ...] = (),
    stochastic: bool = False,
) -> QuantizedGraph:
    """A network of ``layers`` random layers that each follow from those before."""
    source = np.random.default_rng(seed)
    shape = tuple(source.integers(1, (21, 9, 9)).tolist())
    signed = bool(source.integers(2))
    net = NetworkBuilder(shape, source, bits, signed, weight_bits, mixed, stochastic)
    while len(net.layers) < layers:
        names = ["input", *(layer.name for layer in net.layers)]
        x = names[-1] if source.integers(3) else str(source.choice(names))
        append_random(net, names, x)
    return net.graph(f"random{seed}")


def append_random(net: NetworkBuilder, names: list[str], x: str) -> None:
    """Append one layer of a random kind, or none where that kind does not suit ``x``."""
    source = net.source
    channels, height, width = net.shapes[x]
    alike = [name for name in names if net.shapes[name] == net.shapes[x]]
    other = str(source.choice(alike))
    kind = int(source.integers(11))
    if kind < 3:
        outputs = int(source.integers(1, 21))
        net.conv(x, outputs, random_window(source, height, width))
    elif kind == 3:
        # Two convolutions and the sum of their ends.
        window = Window((3, 3), padding=(1, 1, 1, 1))
        net.conv(x, channels, window, residual=other)
    elif kind == 4:
        groups = int(source.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        outputs = groups * int(source.integers(1, 3))
        net.conv(x, outputs, random_window(source, height, width), groups)
    elif kind == 5 and channels * height * width < 600:
        net.conv(x, int(source.integers(1, 12)), Window((height, width)))
    elif kind == 6:
        net.max_pool(x, random_window(source, height, width, inside=True))
    elif kind == 7:
        net.avg_pool(x, random_window(source, height, width))
    elif kind == 8:
        net.sum(x, other)
    elif kind == 9 and channels <= 40:
        same = [n for n in names if net.shapes[n][1:] == (height, width)]
        same = [n for n in same if net.shapes[n][0] <= 40]
        parts = [x, *source.choice(same, int(source.integers(0, 3)))]
        parts = [
            str(n) if net.formats[str(n)] == net.formats[x] else net.same_format(str(n), x)
            for n in parts
        ]
        net.concat(*parts)
    elif kind == 10 and height * width < 40:
        net.upsample(x, tuple(source.integers(1, 4, 2).tolist()))
    elif source.integers(2):
        net.requantize(x)
