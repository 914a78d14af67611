"""What the torch front end makes of each core ATen operator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from quant.graph import Window
from quant.importers import arithmetic
from quant.importers.arithmetic import NOTHING, ONE
from quant.importers.builder import Builder
from quant.importers.geometry import ceil_padding
from quant.importers.lowering import Constant
from quant.importers.views import Unsupported, View

__all__ = ["COMPUTE", "MOVE", "Call"]


@dataclass(frozen=True)
class Call:
    """One node: the builder, the name for a layer, the operator and its arguments by name."""

    builder: Builder
    name: str
    target: str
    arguments: dict[str, Any]
    as_constant: Callable[[object], Constant]

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    def view(self, argument: str) -> View:
        """An argument that must depend on the input."""
        value = self[argument]
        if not isinstance(value, View):
            raise Unsupported(f"its {argument} is a constant; it must depend on the input")
        return value

    def constant(self, argument: str) -> Constant:
        """An argument that must not depend on the input."""
        value = self[argument]
        if isinstance(value, View):
            raise Unsupported(f"its {argument} depends on the input; it must be a constant")
        return self.as_constant(value)

    def optional(self, argument: str) -> Constant | None:
        """A constant argument that may be absent."""
        return None if self[argument] is None else self.constant(argument)

    def operand(self, argument: str) -> arithmetic.Operand:
        """An argument that may depend on the input."""
        value = self[argument]
        return value if isinstance(value, View) else self.as_constant(value)

    def number(self, argument: str, default: float) -> float:
        """A constant of one element; ``default`` where it is absent."""
        return arithmetic.number(self.optional(argument), default)


def pair(values, default=None) -> tuple[int, int]:
    """(rows, columns) of an argument that may be one number or be left out."""
    values = list(values) if isinstance(values, list | tuple) else [values]
    values = values if values else list(default)
    if len(values) == 1:
        values = values * 2
    if len(values) != 2:
        raise Unsupported(f"it works in {len(values)} dimensions; use the 2-dimensional one")
    return int(values[0]), int(values[1])


def convolution(call: Call) -> View:
    if call["transposed"]:
        raise Unsupported("no layer transposes a convolution; use nearest upsampling and Conv2d")
    weight = call.constant("weight")
    if weight.values.ndim != 4:
        raise Unsupported(
            f"it works in {weight.values.ndim - 2} dimensions; use a 2-dimensional convolution"
        )
    rows, columns = pair(call["padding"])
    window = Window(
        (weight.values.shape[2], weight.values.shape[3]),
        pair(call["stride"]),
        (rows, columns, rows, columns),
        pair(call["dilation"]),
    )
    bias = call.optional("bias")
    view = call.view("input")
    return call.builder.conv(call.name, view, weight, bias, window, call["groups"])


def addmm(call: Call) -> View:
    weight = call.constant("mat2")
    alpha, beta = call["alpha"], call["beta"]
    bias = call.constant("self")
    return call.builder.linear(
        call.name,
        call.view("mat1"),
        Constant(weight.values.T * alpha, weight.name),
        Constant(bias.values * beta, bias.name),
    )


def mm(call: Call) -> View:
    weight = call.constant("mat2")
    matrix = Constant(weight.values.T, weight.name)
    return call.builder.linear(call.name, call.view("self"), matrix, None)


def linear(call: Call) -> View:
    view = call.view("input")
    return call.builder.linear(call.name, view, call.constant("weight"), call.optional("bias"))


def batch_norm(call: Call) -> list[View | None]:
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    gain, offset = call.optional("weight") or ONE, call.optional("bias") or NOTHING
    view = call.view("input")
    return [
        call.builder.batch_norm(call.name, view, gain, offset, mean, variance, call["eps"]),
        None,
        None,
    ]


def clip(low: float | None = None, high: float | None = None) -> Callable[[Call], View]:
    """A clip to given bounds; where one is None, to the operator's own ``min`` or ``max``."""

    def build(call: Call) -> View:
        names = call.arguments
        lowest, highest = low, high
        if lowest is None:
            name = "min" if "min" in names else "min_val"
            lowest = call.number(name, -np.inf) if name in names else -np.inf
        if highest is None:
            name = "max" if "max" in names else "max_val"
            highest = call.number(name, np.inf) if name in names else np.inf
        return call.builder.clip(call.name, call.view("self"), lowest, highest)

    return build


def bound(largest: bool) -> Callable[[Call], View]:
    """``maximum`` or ``minimum`` with a number."""
    return lambda call: arithmetic.clamp(
        largest, call.builder, call.name, call.operand("self"), call.operand("other")
    )


def add(combine: Callable[..., View]) -> Callable[[Call], View]:
    """``combine(self, alpha * other)``, where either may be a constant."""

    def build(call: Call) -> View:
        alpha = Constant(np.array(float(call["alpha"])), "alpha")
        second = arithmetic.multiply(call.builder, call.name, call.operand("other"), alpha)
        return combine(call.builder, call.name, call.operand("self"), second)

    return build


def multiply(call: Call) -> View:
    return arithmetic.multiply(call.builder, call.name, call.operand("self"), call.operand("other"))


def divide(call: Call) -> View:
    if call.arguments.get("rounding_mode") is not None:
        raise Unsupported("it rounds its quotient; leave rounding_mode out")
    return arithmetic.divide(call.builder, call.name, call.operand("self"), call.operand("other"))


def negate(call: Call) -> View:
    return arithmetic.subtract(call.builder, call.name, NOTHING, call.view("self"))


def concat(call: Call) -> View:
    parts = [item if isinstance(item, View) else call.as_constant(item) for item in call["tensors"]]
    return arithmetic.concat(call.builder, call.name, parts, call["dim"])


def to_copy(call: Call) -> View:
    if call["dtype"] not in (None, torch.float32, torch.float64):
        raise Unsupported(f"it makes {call['dtype']} of the data; keep them in float32")
    return call.view("self")


def pool_window(call: Call) -> Window:
    """The window of a pooling, whose size may be rounded up."""
    kernel = pair(call["kernel_size"])
    stride = pair(call["stride"], default=kernel)
    dilation = pair(call.arguments.get("dilation", 1))
    top, left = pair(call["padding"])
    bottom, right = top, left
    if call["ceil_mode"]:
        _, _, height, width = four(call)
        bottom += ceil_padding(height, kernel[0], stride[0], dilation[0], top, top)
        right += ceil_padding(width, kernel[1], stride[1], dilation[1], left, left)
    return Window(kernel, stride, (top, left, bottom, right), dilation)


def four(call: Call) -> tuple[int, int, int, int]:
    """The shape of a 4-dimensional input."""
    shape = call.view("self").shape
    if len(shape) != 4:
        raise Unsupported(
            f"its input has the shape {shape}; it needs (batch, channels, rows, columns)"
        )
    return shape[0], shape[1], shape[2], shape[3]


def max_pool(call: Call) -> list[View | None]:
    return [call.builder.max_pool(call.name, call.view("self"), pool_window(call)), None]


def avg_pool(call: Call) -> View:
    view = call.view("self")
    window = pool_window(call)
    top, left = pair(call["padding"])
    rounded = window.padding != (top, left, top, left)
    # Rows that rounding up adds never count in torch's divisor.
    include = bool(call["count_include_pad"]) and not rounded
    divisor = call["divisor_override"]
    if divisor is None:
        return call.builder.avg_pool(call.name, view, window, include)
    pooled = call.builder.avg_pool(call.name, view, window, True)
    factor = Constant(np.array(window.positions / divisor), "1 / divisor_override")
    return call.builder.scale(call.name, pooled, factor, NOTHING)


def adaptive_pool(largest: bool) -> Callable[[Call], Any]:
    """Pooling to a given output size, which must divide the input's."""

    def build(call: Call) -> Any:
        _, _, height, width = four(call)
        rows, columns = pair(call["output_size"])
        if height % rows or width % columns:
            raise Unsupported(
                f"its output {rows} x {columns} does not divide its input {height} x {width}, so "
                "its windows differ; take sizes that divide"
            )
        kernel = (height // rows, width // columns)
        window = Window(kernel, kernel)
        view = call.view("self")
        if largest:
            return [call.builder.max_pool(call.name, view, window), None]
        return call.builder.avg_pool(call.name, view, window, True)

    return build


def reduce(largest: bool) -> Callable[[Call], View]:
    """Mean or maximum over dimensions."""

    def build(call: Call) -> View:
        view = call.view("self")
        axes = call.arguments.get("dim") or list(range(len(view.shape)))
        keep = bool(call.arguments.get("keepdim"))
        return call.builder.reduce(call.name, view, axes, keep, largest)

    return build


def softmax(call: Call) -> View:
    return call.builder.softmax(call.name, call.view("self"), call["dim"])


COMPUTE: dict[str, Callable[[Call], Any]] = {
    "_adaptive_avg_pool2d": adaptive_pool(False),
    "_log_softmax": softmax,
    "_native_batch_norm_legit_no_training": batch_norm,
    "_softmax": softmax,
    "_to_copy": to_copy,
    "adaptive_max_pool2d": adaptive_pool(True),
    "add": add(arithmetic.add),
    "addmm": addmm,
    "amax": reduce(True),
    "avg_pool2d": avg_pool,
    "cat": concat,
    "clamp": clip(),
    "clamp_max": clip(low=-np.inf),
    "clamp_min": clip(high=np.inf),
    "convolution": convolution,
    "div": divide,
    "hardtanh": clip(),
    "linear": linear,
    "max_pool2d_with_indices": max_pool,
    "maximum": bound(True),
    "mean": reduce(False),
    "minimum": bound(False),
    "mm": mm,
    "mul": multiply,
    "neg": negate,
    "relu": clip(0.0, np.inf),
    "sub": add(arithmetic.subtract),
}
"""Operators that compute: each returns what the operator does, None for what is not imported."""


MOVE = frozenset(
    {
        "_unsafe_view",
        "alias",
        "clone",
        "constant_pad_nd",
        "expand",
        "flip",
        "index",
        "index_select",
        "permute",
        "repeat",
        "select",
        "slice",
        "split_with_sizes",
        "squeeze",
        "transpose",
        "unsqueeze",
        "upsample_nearest2d",
        "view",
    }
)
"""Operators that only move elements and add zeros; they run on positions instead of values."""
