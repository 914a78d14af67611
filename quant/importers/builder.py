"""The builder that all front ends share: it turns neutral operations into layers of a graph.

Operations take and return :class:`~quant.importers.views.View`; what only moves elements makes no
layer until some layer needs the elements. Weights stay in float64 until the graph is finished, so
folding adds no rounding.

A softmax over the channels is left out where only the network's output follows, because the
largest score stays the largest; the graph then returns the scores before it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quant.errors import NoMulError
from quant.graph import (
    Add,
    AvgPool,
    Clip,
    Concat,
    Conv,
    Graph,
    Layer,
    MaxPool,
    Window,
)
from quant.importers.geometry import covers_input, reads_padding
from quant.importers.lowering import (
    Constant,
    express,
    frame,
    gather_weights,
    per_channel,
    to_float32,
)
from quant.importers.rewrites import simplify
from quant.importers.views import Unsupported, View

__all__ = ["Builder"]


class Builder:
    """Collects the layers of one network.

    Parameters
    ----------
    input_name : str
        Name of the network's input.
    shape : tuple of int
        Shape of the input, the batch first: (batch, channels, rows, columns) or (batch, features).

    Every operation takes the name for a layer that it may make and raises
    :class:`~quant.importers.views.Unsupported` for what no layer can express.
    """

    def __init__(self, input_name: str, shape: tuple[int, ...]) -> None:
        if len(shape) not in (2, 4) or min(shape) < 1:
            raise NoMulError(
                f"the input {input_name} has the shape {shape}; give the network an input of "
                "(batch, channels, rows, columns) or (batch, features)"
            )
        source = shape[1:] if len(shape) == 4 else (shape[1], 1, 1)
        self.input = View(input_name, source, shape, input_name)
        self.layers: dict[str, Layer] = {}
        self._settled: dict[View, View] = {}

    def finish(self, name: str, output: View) -> Graph:
        """The graph that computes ``output``, simplified, in float32."""
        output = self._settle(replace(output, softmax=""))
        if output.tensor == self.input.tensor:
            raise NoMulError(f"{name} returns its input {output.tensor}; it has no layer to run")
        layers, result = simplify(list(self.layers.values()), output.tensor)
        return Graph(
            name, self.input.tensor, self.input.source, tuple(map(to_float32, layers)), result
        )

    def conv(
        self,
        name: str,
        view: View,
        weight: Constant,
        bias: Constant | None,
        window: Window,
        groups: int,
    ) -> View:
        """Convolution; zeros that the view puts around a tensor join the padding."""
        view, window = self._with_padding(view, window)
        weights = weight.finite()
        outputs, inputs = weights.shape[:2]
        if inputs * groups != view.source[0] or outputs % groups:
            raise Unsupported(
                f"weights {weight.name} {weights.shape} in {groups} groups do not fit "
                f"{view.source[0]} input channels"
            )
        offset = np.zeros(outputs) if bias is None else bias.finite().reshape(outputs)
        shape = (outputs, *output_size(window, view))
        layer = Conv("", (view.tensor,), shape, weights, offset, window, groups)
        return self._emit(name, layer)

    def linear(self, name: str, view: View, weight: Constant, bias: Constant | None) -> View:
        """``x @ weight.T + bias`` over the last dimension: a convolution of the whole map.

        ``weight`` is (outputs, inputs).
        """
        self._check_softmax(view)
        weights = weight.finite()
        outputs, features = weights.shape
        if view.shape[-1] != features or np.prod(view.shape[1:]) != features:
            raise Unsupported(
                f"weights {weight.name} {weights.shape} do not fit an input of {view.shape}; "
                "flatten it first"
            )
        weights = gather_weights(weights, view)
        offset = np.zeros(outputs)
        if bias is not None:
            offset = self._row(bias, (*view.shape[1:-1], outputs))
        channels, height, width = view.source
        layer = Conv(
            "",
            (view.tensor,),
            (outputs, 1, 1),
            weights.reshape(outputs, channels, height, width),
            offset,
            Window(kernel=(height, width)),
        )
        return self._emit(name, layer, (*view.shape[:-1], outputs))

    def scale(self, name: str, view: View, scale: Constant, shift: Constant) -> View:
        """``x * scale + shift`` with constants that broadcast and differ by channel at most."""
        view = self._settle(view)
        factors = per_channel(view, scale)
        offsets = per_channel(view, shift)
        if (factors == 1).all() and not offsets.any():
            return view
        channels = view.source[0]
        weights = factors.reshape(channels, 1, 1, 1)
        layer = Conv("", (view.tensor,), view.source, weights, offsets, Window(), channels)
        return self._emit(name, layer, view.shape)

    def batch_norm(
        self,
        name: str,
        view: View,
        gain: Constant,
        offset: Constant,
        mean: Constant,
        variance: Constant,
        epsilon: float,
    ) -> View:
        """``(x - mean) / sqrt(variance + epsilon) * gain + offset`` with constants per channel."""
        spread = variance.finite() + epsilon
        if (spread <= 0).any():
            raise NoMulError(
                f"{variance.name} has a variance of 0 or less; train the network again"
            )
        factor = gain.finite() / np.sqrt(spread)
        shift = offset.finite() - mean.finite() * factor
        align = (-1, *[1] * (len(view.shape) - 2))
        return self.scale(
            name,
            view,
            Constant(factor.reshape(align), gain.name),
            Constant(shift.reshape(align), offset.name),
        )

    def clip(self, name: str, view: View, low: float, high: float) -> View:
        """``min(max(x, low), high)``; a bound at the end of float32 is none."""
        view = self._settle(view)
        low = -np.inf if low <= np.finfo(np.float32).min else low
        high = np.inf if high >= np.finfo(np.float32).max else high
        if not low <= high:
            raise Unsupported(f"it clips to the empty range {low} .. {high}")
        if low == -np.inf and high == np.inf:
            return view
        return self._emit(name, Clip("", (view.tensor,), view.source, low, high), view.shape)

    def add(self, name: str, first: View, second: View) -> View:
        """Sum of two tensors of one shape."""
        a, b = self._settle(first), self._settle(second)
        if a.source != b.source or a.shape != b.shape:
            raise Unsupported(
                f"it joins tensors of shapes {a.shape} and {b.shape}; make them equal"
            )
        return self._emit(name, Add("", (a.tensor, b.tensor), a.source), a.shape)

    def concat(self, name: str, views: Sequence[View], axis: int) -> View:
        """Channels, or features, of all views, one after another."""
        views = [self._settle(view) for view in views]
        if axis % len(views[0].shape) != 1:
            raise Unsupported(f"it joins tensors along dimension {axis}; join channels (1)")
        sizes = {view.source[1:] for view in views}
        if len(sizes) > 1:
            shapes = ", ".join(str(view.source) for view in views)
            raise Unsupported(f"it joins {shapes}, which differ in rows and columns")
        if len(views) == 1:
            return views[0]
        source = (sum(view.source[0] for view in views), *views[0].source[1:])
        shape = (views[0].shape[0], sum(view.shape[1] for view in views), *views[0].shape[2:])
        return self._emit(name, Concat("", tuple(view.tensor for view in views), source), shape)

    def max_pool(self, name: str, view: View, window: Window) -> View:
        """Largest value in the window; padding never wins."""
        padded, merged = self._with_padding(view, window)
        if merged != window and not (
            self._nonnegative(padded.tensor) and covers_input(merged, padded.source[1:])
        ):
            # Zeros win against negative numbers, so they must be there before the pooling.
            padded, merged = self._settle(view), window
        if not covers_input(merged, padded.source[1:]):
            raise Unsupported("some windows lie in the padding alone; make the padding smaller")
        return self._pool(name, MaxPool, padded, merged)

    def avg_pool(self, name: str, view: View, window: Window, include_padding: bool) -> View:
        """Mean over the window; without ``include_padding`` no window may see padding."""
        padded, merged = self._with_padding(view, window)
        if not include_padding and reads_padding(window, (view.shape[2], view.shape[3])):
            raise Unsupported(
                "its mean leaves the padding out, so its divisor differs by position; pad with "
                "zeros that count (count_include_pad) or not at all"
            )
        return self._pool(name, AvgPool, padded, merged)

    def reduce(self, name: str, view: View, axes: Sequence[int], keep: bool, largest: bool) -> View:
        """Mean, or maximum if ``largest``, over dimensions that make up rows, columns or both."""
        view = self._settle(view)
        rank = len(view.shape)
        dims = {axis % rank for axis in axes}
        shape = tuple(
            1 if d in dims else n for d, n in enumerate(view.shape) if keep or d not in dims
        )
        if view.shape[1:] == view.source and dims and dims <= {2, 3}:
            kernel = tuple(view.source[d - 1] if d in dims else 1 for d in (2, 3))
        elif view.shape[1] == view.source[0] and dims == set(range(2, rank)):
            kernel = view.source[1:]
        elif dims and all(view.shape[d] == 1 for d in dims) and 0 not in dims:
            kernel = (1, 1)
        else:
            raise Unsupported(
                f"it reduces dimensions {sorted(dims)} of {view.shape}; only rows and "
                "columns can be"
            )
        window = Window(kernel=(kernel[0], kernel[1]), stride=(kernel[0], kernel[1]))
        pooled = self._pool(name, MaxPool if largest else AvgPool, view, window)
        return replace(pooled, shape=shape)

    def softmax(self, name: str, view: View, axis: int) -> View:
        """The view itself, marked so that nothing but the output may follow."""
        self._check_softmax(view)
        if axis % len(view.shape) != 1:
            raise Unsupported(f"it works along dimension {axis}; only channels (1) can be left out")
        return replace(view, softmax=name)

    def _pool(self, name: str, kind: type, view: View, window: Window) -> View:
        if window.positions == 1 and window.stride == (1, 1) and not any(window.padding):
            return view
        shape = (view.source[0], *output_size(window, view))
        return self._emit(name, kind("", (view.tensor,), shape, window))

    def _emit(self, name: str, layer: Layer, shape: tuple[int, ...] | None = None) -> View:
        """Add a layer under a name of its own; ``shape`` is that of the view, 4-D by default."""
        unique, count = name, 0
        while unique in self.layers or unique == self.input.tensor:
            count += 1
            unique = f"{name}_{count}"
        self.layers[unique] = replace(layer, name=unique)
        batch = self.input.shape[0]
        return View(unique, layer.shape, shape or (batch, *layer.shape), unique)

    @staticmethod
    def _row(bias: Constant, shape: tuple[int, ...]) -> np.ndarray:
        """A bias that broadcasts to one image of ``shape``, as one row."""
        try:
            return np.broadcast_to(bias.finite(), (1, *shape)).reshape(-1)
        except ValueError:
            raise Unsupported(
                f"the bias {bias.name} {bias.values.shape} does not fit an output of {shape}"
            ) from None

    @staticmethod
    def _check_softmax(view: View) -> None:
        if view.softmax:
            raise Unsupported(
                f"it reads the softmax {view.softmax}, which may only be the network's last node"
            )

    def _with_padding(self, view: View, window: Window) -> tuple[View, Window]:
        """The view without zeros around it, and the window with them in its padding."""
        self._check_softmax(view)
        if len(view.shape) != 4:
            raise Unsupported(
                f"its input has the shape {view.shape}; it needs (batch, channels, rows, columns)"
            )
        zeros = frame(view)
        if zeros is not None:
            bare = replace(view, positions=None, shape=(view.shape[0], *view.source))
            top, left, bottom, right = np.add(zeros, window.padding).tolist()
            return bare, replace(window, padding=(top, left, bottom, right))
        view = self._settle(view)
        if view.shape[1:] != view.source:
            raise Unsupported(
                f"{view.origin} reshapes {view.source} to {view.shape[1:]}, which no layer "
                "expresses; give the network its input in that shape"
            )
        return view, window

    def _settle(self, view: View) -> View:
        """The same elements as a tensor in order, by a layer of its own where needed."""
        self._check_softmax(view)
        if view.positions is None:
            return view
        if view not in self._settled:
            self._settled[view] = self._emit(view.origin, express(view), view.shape)
        return self._settled[view]

    def _nonnegative(self, tensor: str) -> bool:
        """Whether the layers show that a tensor has no negative value."""
        layer = self.layers.get(tensor)
        if isinstance(layer, Clip):
            return layer.low >= 0
        if layer is None or isinstance(layer, Conv):
            return False
        return all(map(self._nonnegative, layer.inputs))


def output_size(window: Window, view: View) -> tuple[int, int]:
    """Rows and columns after a window. Errors: :class:`Unsupported` if it is too large."""
    rows, columns = window.output_size(*view.source[1:])
    if rows < 1 or columns < 1:
        raise Unsupported(
            f"its kernel {window.kernel} is larger than its padded input {view.source[1:]}"
        )
    return rows, columns
