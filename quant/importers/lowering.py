"""From views and constants to the numbers of a layer."""

from dataclasses import dataclass, replace

import numpy as np

from quant.errors import NoMulError
from quant.graph import Conv, Layer, Shape, Upsample, Window
from quant.importers.views import ZERO, Selection, Unsupported, View

__all__ = ["Constant", "express", "frame", "gather_weights", "per_channel", "to_float32"]


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor of the network that is no data: its values and the name to call it by."""

    values: np.ndarray
    name: str

    def finite(self) -> np.ndarray:
        """The values in float64. Errors: :class:`NoMulError` for NaN and infinity."""
        values = np.asarray(self.values, np.float64)
        if not np.isfinite(values).all():
            kind = "NaN" if np.isnan(values).any() else "infinite"
            raise NoMulError(f"{self.name} has {kind} values; train or export the network again")
        return values


def express(view: View) -> Layer:
    """A nameless layer that makes a view's elements: weights 0 and 1, or an upsampling.

    Errors: :class:`Unsupported` where there is none.
    """
    refusal = Unsupported(
        f"{view.origin} moves elements in a way that no layer expresses; only channels may be "
        "chosen freely, rows and columns in equal steps"
    )
    if len(view.shape) == 2:
        view = replace(view, shape=(*view.shape, 1, 1), positions=view.indices()[..., None, None])
    selection = Selection.of(view) if len(view.shape) == 4 else None
    if selection is None:
        raise refusal
    _, outputs, rows, columns = view.shape
    shape: Shape = (outputs, rows, columns)
    factor = selection.factor(view.source)
    if factor is not None:
        return Upsample("", (view.tensor,), shape, factor)
    found = selection.window(view.source)
    if found is None:
        raise refusal
    window, tap = found
    channels = view.source[0]
    groups = channels if selection.keeps_channels(view.source) else 1
    weight = np.zeros((outputs, channels // groups, *window.kernel))
    for output, channel in enumerate(selection.channels):
        if channel >= 0:
            weight[output, channel if groups == 1 else 0, tap[0], tap[1]] = 1
    return Conv("", (view.tensor,), shape, weight, np.zeros(outputs), window, groups)


def frame(view: View) -> tuple[int, int, int, int] | None:
    """The zeros (top, left, bottom, right) around a tensor, if a 4-D view adds just these."""
    if view.positions is None:
        return (0, 0, 0, 0) if view.shape[1:] == view.source else None
    selection = Selection.of(view)
    if selection is None or not selection.keeps_channels(view.source):
        return None
    found = selection.window(view.source)
    if found is None or found[0] != Window(padding=found[0].padding):
        return None
    return found[0].padding


def gather_weights(weights: np.ndarray, view: View) -> np.ndarray:
    """Weights (outputs, elements) over a view as weights over the elements of its tensor."""
    if view.positions is None:
        return weights
    positions = view.positions[0].reshape(-1)
    used = positions != ZERO
    gathered = np.zeros((int(np.prod(view.source)), weights.shape[0]))
    np.add.at(gathered, positions[used] - 1, weights.T[used])
    return gathered.T


def per_channel(view: View, constant: Constant) -> np.ndarray:
    """A constant that broadcasts to a view, as one value a channel of the tensor."""
    values = constant.finite()
    try:
        full = np.broadcast_to(values, (1, *view.shape[1:])).reshape(view.source)
    except ValueError:
        raise Unsupported(
            f"the constant {constant.name} {values.shape} does not fit {view.shape}"
        ) from None
    channels = full[:, 0, 0]
    if (full != channels[:, None, None]).any():
        raise Unsupported(
            f"the constant {constant.name} differs by row or column; it may differ by channel only"
        )
    return channels.copy()


def to_float32(layer: Layer) -> Layer:
    """The layer with weights in float32. Errors: :class:`NoMulError` where they overflow."""
    if not isinstance(layer, Conv):
        return layer
    with np.errstate(over="ignore"):
        weight, bias = layer.weight.astype(np.float32), layer.bias.astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise NoMulError(
            f"{layer.name} has weights beyond float32 after folding; look for a batch norm of "
            "almost no variance"
        )
    return replace(layer, weight=weight, bias=bias)
