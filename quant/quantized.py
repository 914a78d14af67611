"""The quantized graph: integers only, power-of-two scales, every rounding written down.

A tensor is integer codes with a :class:`~quant.numbers.Format`. Each layer's docstring gives the
exact integer function that reference, program simulator and hardware compute. Shapes are
(channels, height, width), the batch comes first in arrays.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quant.graph import Shape, Window, check_order, load_graph, save_graph
from quant.numbers import Format
from quant.stochastic import NOISE_BITS

__all__ = [
    "ROUNDINGS",
    "QAdd",
    "QAvgPool",
    "QConcat",
    "QConv",
    "QLayer",
    "QMaxPool",
    "QRequantize",
    "QUpsample",
    "QuantizedGraph",
]

ROUNDINGS = ("even", "stochastic")


@dataclass(frozen=True)
class QLayer:
    """One integer operation; ``name`` is also the name of the tensor that it makes.

    Every layer ends in ``saturate(..., low, high)``: the clip of the network (a ReLU has
    ``low == 0``) within the range of ``format``. Where ``format.logarithmic``, ``to_log`` of that
    is the code (:func:`quant.numbers.to_log`), and ``low`` and ``high`` are such codes themselves.

    Parameters
    ----------
    rounding : str
        How ``requantize`` rounds, in layers that have a ``shift``. ``even``: to the nearest, ties
        to even (:func:`quant.numbers.requantize`). ``stochastic``: up or down by the noise of
        ``seed`` (:func:`quant.stochastic.requantize_stochastic`).
    seed : int
        Of stochastic rounding, 1 .. 2**32 - 1; 0 with ``even``.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    format: Format
    low: int
    high: int
    rounding: str = field(default="even", kw_only=True)
    seed: int = field(default=0, kw_only=True)

    @property
    def rounds(self) -> bool:
        """Whether the layer requantizes."""
        return hasattr(self, "shift")


@dataclass(frozen=True)
class QConv(QLayer):
    """Convolution, optionally with a residual input, requantized once.

    ``y[o] = requantize(sum(x * weight[o]) + bias[o] + (r << residual_shift[o]), shift[o], low,
    high)`` where ``r`` is the second input, if there is one.

    Parameters
    ----------
    weight : int32 (outputs, inputs / groups, rows, columns)
        In units of ``2**-weight_fraction[o]``; each a sum of terms.
    weight_fraction : int32 (outputs,)
    bias : int64 (outputs,)
        In units of the accumulator, ``2**-(input fraction + weight_fraction[o])``.
    shift : int32 (outputs,)
        input fraction + weight_fraction - output fraction, 0 or more.
    residual_shift : int32 (outputs,)
        input fraction + weight_fraction - residual fraction, 0 or more; zeros without residual.
        So ``shift - residual_shift`` is the same in all channels of a layer with a residual.
    scheme : str
        The weights' quantizer, for reports.
    """

    weight: np.ndarray
    weight_fraction: np.ndarray
    bias: np.ndarray
    shift: np.ndarray
    residual_shift: np.ndarray
    window: Window
    groups: int
    scheme: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image, padding included."""
        return self.shape[1] * self.shape[2] * int(np.prod(self.weight.shape))


@dataclass(frozen=True)
class QMaxPool(QLayer):
    """``y = saturate(max(x), low, high)`` over the window; padding never wins. Same format."""

    window: Window


@dataclass(frozen=True)
class QAvgPool(QLayer):
    """``y = requantize(sum(x) * multiplier, shift, low, high)`` over the window, zero padding.

    ``multiplier * 2**-s`` approximates 1 / positions with at most 8 bits, exactly where positions
    is a power of two (multiplier 1); ``shift`` is ``s`` + input fraction - output fraction.
    """

    window: Window
    multiplier: int
    shift: int


@dataclass(frozen=True)
class QAdd(QLayer):
    """``y = requantize((a << shifts[0]) + (b << shifts[1]), shift, low, high)``.

    The left shifts bring both inputs to the larger of their fractions.
    """

    shifts: tuple[int, int]
    shift: int


@dataclass(frozen=True)
class QConcat(QLayer):
    """Channels of all inputs, one after another; all of the output's format."""


@dataclass(frozen=True)
class QUpsample(QLayer):
    """Every position repeated ``factor`` = (rows, columns) times. Same format."""

    factor: tuple[int, int]


@dataclass(frozen=True)
class QRequantize(QLayer):
    """``y = requantize(x << left, shift, low, high)``: another format, or a clip on its own."""

    left: int
    shift: int


LAYERS: dict[str, type[QLayer]] = {
    cls.__name__: cls for cls in (QConv, QMaxPool, QAvgPool, QAdd, QConcat, QUpsample, QRequantize)
}


@dataclass(frozen=True)
class QuantizedGraph:
    """A network in integers: layers in data order, one input, one output.

    ``output`` codes, flattened in (channel, row, column) order and multiplied by
    ``2**-format.fraction``, approximate what the float network returns. The input is linear.

    Errors: ``ValueError`` for layers out of order, and for what contradicts a layer's docstring:
    shifts of a residual, bounds of a logarithmic format, or rounding.
    """

    name: str
    input: str
    input_shape: Shape
    input_format: Format
    layers: tuple[QLayer, ...]
    output: str
    scheme: str
    KIND = "quantized graph"

    def __post_init__(self) -> None:
        check_order(self.input, self.layers, self.output)
        if self.input_format.logarithmic:
            raise ValueError(f"the input {self.input} is logarithmic; only layers make such codes")
        for layer in self.layers:
            _check_bounds(layer)
            _check_rounding(layer)
            if isinstance(layer, QConv) and len(layer.inputs) == 2:
                _check_residual(layer)

    def layer(self, tensor: str) -> QLayer:
        """The layer that makes a tensor."""
        return next(layer for layer in self.layers if layer.name == tensor)

    def shape_of(self, tensor: str) -> Shape:
        """Shape of a tensor by name."""
        return self.input_shape if tensor == self.input else self.layer(tensor).shape

    def format_of(self, tensor: str) -> Format:
        """Format of a tensor by name."""
        return self.input_format if tensor == self.input else self.layer(tensor).format

    def save(self, path: str | Path) -> None:
        """Write the graph to one file."""
        save_graph(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "QuantizedGraph":
        """Read what :meth:`save` wrote."""
        return load_graph(cls, path, LAYERS)


def _check_bounds(layer: QLayer) -> None:
    if layer.format.logarithmic and not layer.format.holds(np.array([layer.low, layer.high])):
        raise ValueError(
            f"layer {layer.name} is clipped to {layer.low} .. {layer.high}, but bounds of a "
            f"logarithmic format are 0, 2**k or 3 * 2**k up to {layer.format.high}"
        )


def _check_rounding(layer: QLayer) -> None:
    if layer.rounding not in ROUNDINGS:
        raise ValueError(
            f"layer {layer.name} has the rounding {layer.rounding!r}; known are "
            f"{', '.join(ROUNDINGS)}"
        )
    stochastic = layer.rounding == "stochastic"
    if stochastic and not layer.rounds:
        raise ValueError(f"layer {layer.name} has no shift, so it cannot round stochastically")
    if not (1 <= layer.seed < 1 << NOISE_BITS if stochastic else layer.seed == 0):
        raise ValueError(
            f"layer {layer.name} has the seed {layer.seed}; a seed is 1 to {(1 << NOISE_BITS) - 1} "
            "with stochastic rounding, 0 without"
        )


def _check_residual(layer: QConv) -> None:
    change = np.asarray(layer.shift, np.int64) - layer.residual_shift
    if (change != change[0]).any():
        channel = int(np.argmax(change != change[0]))
        raise ValueError(
            f"layer {layer.name}: shift - residual_shift is {change[0]} in channel 0 but "
            f"{change[channel]} in channel {channel}; it is residual fraction - output fraction, "
            "one number for all channels"
        )
