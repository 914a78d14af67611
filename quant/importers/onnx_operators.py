"""What the ONNX front end makes of each operator."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import onnx

from quant.graph import Window
from quant.importers import arithmetic
from quant.importers.arithmetic import NOTHING
from quant.importers.geometry import ceil_padding, same_padding
from quant.importers.lowering import Constant
from quant.importers.onnx_call import Call
from quant.importers.onnx_resize import resize, upsample
from quant.importers.views import Unsupported, View

__all__ = ["COMPUTE", "MOVE", "REMEDIES"]


def two(values: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of an attribute."""
    if len(values) != 2:
        raise Unsupported(f"it works in {len(values)} dimensions; use the 2-dimensional one")
    return int(values[0]), int(values[1])


def window(call: Call, kernel: tuple[int, int]) -> Window:
    """The window of a convolution or pooling, from its padding attributes."""
    height, width = call.size()
    stride = two(call.attribute("strides", [1, 1]))
    dilation = two(call.attribute("dilations", [1, 1]))
    mode = call.attribute("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        upper = mode == "SAME_UPPER"
        top, bottom = same_padding(height, kernel[0], stride[0], dilation[0], upper)
        left, right = same_padding(width, kernel[1], stride[1], dilation[1], upper)
        return Window(kernel, stride, (top, left, bottom, right), dilation)
    pads = [0, 0, 0, 0] if mode == "VALID" else call.attribute("pads", [0, 0, 0, 0])
    if len(pads) != 4 or min(pads) < 0:
        raise Unsupported(f"its padding is {list(pads)}; use four numbers of 0 or more")
    top, left, bottom, right = map(int, pads)
    if call.attribute("ceil_mode", 0):
        bottom += ceil_padding(height, kernel[0], stride[0], dilation[0], top, bottom)
        right += ceil_padding(width, kernel[1], stride[1], dilation[1], left, right)
    return Window(kernel, stride, (top, left, bottom, right), dilation)


def conv(call: Call) -> View:
    weight = call.constant(1)
    if weight.values.ndim != 4:
        raise Unsupported(
            f"it works in {weight.values.ndim - 2} dimensions; use a 2-dimensional convolution"
        )
    kernel = two(weight.values.shape[2:])
    stated = two(call.attribute("kernel_shape", kernel))
    if stated != kernel:
        raise Unsupported(
            f"its kernel_shape {stated} is not that of its weights, {kernel}; export it again"
        )
    return call.builder.conv(
        call.name,
        call.view(0),
        weight,
        call.optional(2),
        window(call, kernel),
        call.attribute("group", 1),
    )


def gemm(call: Call) -> View:
    if call.attribute("transA", 0):
        raise Unsupported("it transposes the data; export it with transA=0")
    weight, bias = call.constant(1), call.optional(2)
    matrix = weight.values if call.attribute("transB", 0) else weight.values.T
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    return call.builder.linear(
        call.name,
        call.view(0),
        Constant(matrix * alpha, weight.name),
        None if bias is None else Constant(bias.values * beta, bias.name),
    )


def matmul(call: Call) -> View:
    if isinstance(call.inputs[0], View) and isinstance(call.inputs[1], View):
        raise Unsupported(
            "it multiplies two tensors that depend on the input; only constant weights can be"
        )
    weight = call.constant(1)
    if weight.values.ndim != 2:
        raise Unsupported(f"its weights have the shape {weight.values.shape}; use a matrix")
    matrix = Constant(weight.values.T, weight.name)
    return call.builder.linear(call.name, call.view(0), matrix, None)


def batch_norm(call: Call) -> View:
    # Before opset 14, only training returns the running statistics.
    if call.attribute("training_mode", 0) or any(call.node.output[1:]):
        raise Unsupported("it is in training mode; export the model in evaluation mode")
    gain, offset, mean, variance = (call.constant(index) for index in range(1, 5))
    epsilon = call.attribute("epsilon", 1e-5)
    return call.builder.batch_norm(call.name, call.view(0), gain, offset, mean, variance, epsilon)


def max_pool(call: Call) -> View:
    kernel = two(call.attribute("kernel_shape", []))
    return call.builder.max_pool(call.name, call.view(0), window(call, kernel))


def avg_pool(call: Call) -> View:
    kernel = two(call.attribute("kernel_shape", []))
    frame = window(call, kernel)
    include = bool(call.attribute("count_include_pad", 0))
    if call.attribute("ceil_mode", 0) and call.attribute("auto_pad", "NOTSET") == "NOTSET":
        # What rounding up adds never counts in the divisor.
        include = include and frame.padding == tuple(call.attribute("pads", [0, 0, 0, 0]))
    return call.builder.avg_pool(call.name, call.view(0), frame, include)


def global_pool(largest: bool) -> Callable[[Call], View]:
    """Pooling over all rows and columns."""

    def build(call: Call) -> View:
        axes = range(2, len(call.view(0).shape))
        return call.builder.reduce(call.name, call.view(0), axes, True, largest)

    return build


def reduce_axes(largest: bool) -> Callable[[Call], View]:
    """Mean or maximum over dimensions."""

    def build(call: Call) -> View:
        view = call.view(0)
        axes = call.optional(1)
        listed = call.attribute("axes", None) if axes is None else axes.values.reshape(-1).tolist()
        if not listed:
            if call.attribute("noop_with_empty_axes", 0):
                return view
            listed = range(len(view.shape))
        keep = bool(call.attribute("keepdims", 1))
        return call.builder.reduce(call.name, view, listed, keep, largest)

    return build


def clip(call: Call) -> View:
    low = arithmetic.number(call.optional(1), call.attribute("min", -np.inf))
    high = arithmetic.number(call.optional(2), call.attribute("max", np.inf))
    return call.builder.clip(call.name, call.view(0), low, high)


def relu(call: Call) -> View:
    return call.builder.clip(call.name, call.view(0), 0.0, np.inf)


def combine(operation: Callable[..., Any]) -> Callable[[Call], View]:
    """An arithmetic operation on two inputs, or on any number where their order is free."""

    def build(call: Call) -> View:
        operands = [call.operand(index) for index in range(len(call.inputs))]
        if len(operands) != 2:
            operands.sort(key=lambda operand: isinstance(operand, Constant))
        result: Any = reduce(lambda a, b: operation(call.builder, call.name, a, b), operands)
        return result

    return build


def negate(call: Call) -> View:
    return arithmetic.subtract(call.builder, call.name, NOTHING, call.view(0))


def concat(call: Call) -> View:
    parts = [call.operand(index) for index in range(len(call.inputs))]
    return arithmetic.concat(call.builder, call.name, parts, call.attribute("axis", 1))


def softmax(call: Call) -> View:
    axis = call.attribute("axis", 1 if call.opset < 13 else -1)
    return call.builder.softmax(call.name, call.view(0), axis)


def dropout(call: Call) -> View:
    if arithmetic.number(call.optional(2), 0.0):
        raise Unsupported("it is in training mode; export the model in evaluation mode")
    return call.view(0)


def cast(call: Call) -> View:
    kind = call.attribute("to", onnx.TensorProto.FLOAT)
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        name = onnx.TensorProto.DataType.Name(kind).lower()
        raise Unsupported(f"it makes {name} of the data; keep them in float")
    return call.view(0)


COMPUTE: dict[str, Callable[[Call], View]] = {
    "Add": combine(arithmetic.add),
    "AveragePool": avg_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "Div": combine(arithmetic.divide),
    "Dropout": dropout,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool(False),
    "GlobalMaxPool": global_pool(True),
    "LogSoftmax": softmax,
    "MatMul": matmul,
    "Max": combine(partial(arithmetic.clamp, True)),
    "MaxPool": max_pool,
    "Min": combine(partial(arithmetic.clamp, False)),
    "Mul": combine(arithmetic.multiply),
    "Neg": negate,
    "ReduceMax": reduce_axes(True),
    "ReduceMean": reduce_axes(False),
    "Relu": relu,
    "Resize": resize,
    "Softmax": softmax,
    "Sub": combine(arithmetic.subtract),
    "Sum": combine(arithmetic.add),
    "Upsample": upsample,
}
"""Operators that compute, or that the reference implementation is too slow for."""

MOVE = frozenset(
    {
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Pad",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that only move elements and add zeros; they run on positions instead of values."""

REMEDIES = {
    "ArgMax": "no layer finds the largest score; export the model without it, it returns scores",
    "ConvTranspose": "no layer transposes a convolution; use nearest upsampling and Conv",
    "LeakyRelu": "its negative slope needs a multiplication by the sign; train with Relu instead",
    "PRelu": "its negative slope needs a multiplication by the sign; train with Relu instead",
    "Sigmoid": "no layer computes it; at the end of a model, export without it",
}
"""What to do about operators that are met often and have no layer."""
