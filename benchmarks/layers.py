"""Random quantized layers, checked bit for bit against torch's and ONNX Runtime's kernels.

``python -m benchmarks.layers [count] [seed]`` prints how many layers were checked and how many
differed. Both libraries get signed tensors as unsigned ones with zero point 128, and ONNX Runtime
also its weights: their kernels for signed weights saturate 16-bit intermediate sums on processors
without VNNI. Of torch's engines only qnnpack's convolutions never do.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch.ao.nn.quantized import functional as quantized

from quant.graph import Window
from quant.numbers import Format
from quant.quantized import QAdd, QAvgPool, QConcat, QConv, QLayer, QMaxPool
from quant.reference import run_layer

__all__ = ["LayerCase", "check_case", "check_layers", "random_case"]

Draw = Callable[[int, int], int]

ENGINE = "qnnpack"
ADD_ENGINE = "fbgemm"  # adds in floating point, exactly; qnnpack's addition is approximate


@dataclass(frozen=True)
class LayerCase:
    """A layer with its input codes and their formats."""

    layer: QLayer
    inputs: list[np.ndarray]
    formats: list[Format]


def check_layers(count: int, seed: int) -> tuple[int, int]:
    """Layers checked and layers that differ from one of the libraries, of ``count`` random ones."""
    generator = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(generator.integers(low, high, endpoint=True))

    return count, sum(bool(check_case(random_case(draw))) for _ in range(count))


def check_case(case: LayerCase) -> list[str]:
    """Names of the libraries whose result differs from the reference."""
    expected = run_layer(case.layer, case.inputs, case.formats)
    found = {"onnxruntime": by_onnxruntime(case)}
    if torch_offers(case.layer):
        found["torch"] = by_torch(case)
    low, high = case.layer.low, case.layer.high
    return [
        name for name, y in found.items() if not np.array_equal(np.clip(y, low, high), expected)
    ]


def torch_offers(layer: QLayer) -> bool:
    """Whether qnnpack takes it: no requantization without a right shift, no pooling of one."""
    if isinstance(layer, QConv):
        return bool(layer.shift.min() > 0)
    return not isinstance(layer, QMaxPool | QAvgPool) or layer.window.positions > 1


def random_case(draw: Draw) -> LayerCase:
    """A random layer; ``draw(low, high)`` gives integers, both ends included."""
    kinds = (random_conv, random_conv, random_conv, random_conv, random_max_pool)
    others = (random_average_pool, random_add, random_concat)
    return (*kinds, *others)[draw(0, 7)](draw)


def random_format(draw: Draw) -> Format:
    return Format(8, bool(draw(0, 1)), draw(-2, 9))


def random_codes(draw: Draw, fmt: Format, shape: tuple[int, ...]) -> np.ndarray:
    """Codes over the whole range, at both ends of it, or all at one end."""
    generator = np.random.default_rng(draw(0, 2**32 - 1))
    style = draw(0, 3)
    if style == 0:
        codes = generator.choice([fmt.low, fmt.high], shape)
    elif style == 1:
        codes = np.full(shape, fmt.high if draw(0, 1) else fmt.low)
    else:
        codes = generator.integers(fmt.low, fmt.high, shape, endpoint=True)
    return codes.astype(np.int32)


def random_bounds(draw: Draw, fmt: Format) -> tuple[int, int]:
    """No clip, ReLU, or a clip at both sides."""
    style = draw(0, 2)
    if style == 0:
        return fmt.low, fmt.high
    return 0, fmt.high if style == 1 else draw(1, fmt.high)


def random_window(draw: Draw, largest: int) -> tuple[Window, int, int]:
    """A window and an input size that it fits."""
    kernel = (draw(1, largest), draw(1, largest))
    dilation = (draw(1, 2), draw(1, 2))
    rows, columns = kernel[0] // 2, kernel[1] // 2
    padding = (draw(0, rows), draw(0, columns), draw(0, rows), draw(0, columns))
    window = Window(kernel, (draw(1, 3), draw(1, 3)), padding, dilation)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    return window, spans[0] + draw(0, 6), spans[1] + draw(0, 6)


def random_conv(draw: Draw) -> LayerCase:
    """Convolution: plain, grouped or depthwise, or linear (a kernel that covers its input)."""
    window, height, width = random_window(draw, 5)
    if draw(0, 5) == 0:
        window = Window((height, width))
    groups = (1, 1, draw(2, 4), draw(2, 8))[style := draw(0, 3)]
    per_group = 1 if style == 3 else draw(1, 8)
    outputs = groups * draw(1, 2 if style == 3 else 6)
    source, target = random_format(draw), random_format(draw)
    weight = random_codes(draw, Format(8, True, 0), (outputs, per_group, *window.kernel))
    weight = np.maximum(weight, -127)
    generator = np.random.default_rng(draw(0, 2**32 - 1))
    bias = generator.integers(-(2 ** draw(0, 22)), 2 ** draw(0, 22), outputs, endpoint=True)
    shift = generator.integers(draw(0, 8), draw(8, 16), outputs, endpoint=True).astype(np.int32)
    layer = QConv(
        "conv",
        ("x",),
        (outputs, *window.output_size(height, width)),
        target,
        *random_bounds(draw, target),
        weight=weight,
        weight_fraction=shift + target.fraction - source.fraction,
        bias=bias.astype(np.int64),
        shift=shift,
        residual_shift=np.zeros(outputs, np.int32),
        window=window,
        groups=groups,
        scheme="random",
    )
    x = random_codes(draw, source, (draw(1, 2), groups * per_group, height, width))
    return LayerCase(layer, [x], [source])


def random_max_pool(draw: Draw) -> LayerCase:
    window, height, width = random_window(draw, 4)
    fmt = random_format(draw)
    x = random_codes(draw, fmt, (draw(1, 2), draw(1, 8), height, width))
    shape = (x.shape[1], *window.output_size(height, width))
    layer = QMaxPool("pool", ("x",), shape, fmt, *random_bounds(draw, fmt), window)
    return LayerCase(layer, [x], [fmt])


def random_average_pool(draw: Draw) -> LayerCase:
    """Windows of a power of two positions, which every library divides by exactly."""
    kernel = (2 ** draw(0, 3), 2 ** draw(0, 3))
    pad_rows, pad_columns = draw(0, kernel[0] // 2), draw(0, kernel[1] // 2)
    padding = (pad_rows, pad_columns, pad_rows, pad_columns)
    window = Window(kernel, (draw(1, 4), draw(1, 4)), padding)
    fmt = random_format(draw)
    shape = (draw(1, 2), draw(1, 8), kernel[0] + draw(0, 6), kernel[1] + draw(0, 6))
    x = random_codes(draw, fmt, shape)
    layer = QAvgPool(
        "pool",
        ("x",),
        (x.shape[1], *window.output_size(*x.shape[2:])),
        fmt,
        *random_bounds(draw, fmt),
        window=window,
        multiplier=1,
        shift=window.positions.bit_length() - 1,
    )
    return LayerCase(layer, [x], [fmt])


def random_add(draw: Draw) -> LayerCase:
    a, b = random_format(draw), random_format(draw)
    common = max(a.fraction, b.fraction)
    target = Format(8, bool(draw(0, 1)), common - draw(0, 10))
    shape = (draw(1, 2), draw(1, 8), draw(1, 8), draw(1, 8))
    layer = QAdd(
        "add",
        ("a", "b"),
        shape[1:],
        target,
        *random_bounds(draw, target),
        shifts=(common - a.fraction, common - b.fraction),
        shift=common - target.fraction,
    )
    return LayerCase(layer, [random_codes(draw, fmt, shape) for fmt in (a, b)], [a, b])


def random_concat(draw: Draw) -> LayerCase:
    fmt = random_format(draw)
    images, height, width = draw(1, 2), draw(1, 8), draw(1, 8)
    inputs = [
        random_codes(draw, fmt, (images, draw(1, 8), height, width)) for _ in range(draw(1, 4))
    ]
    shape = (sum(x.shape[1] for x in inputs), height, width)
    names = tuple(f"x{index}" for index in range(len(inputs)))
    layer = QConcat("concat", names, shape, fmt, *random_bounds(draw, fmt))
    return LayerCase(layer, inputs, [fmt] * len(inputs))


def zero_point(fmt: Format) -> int:
    return 128 if fmt.signed else 0


def step(fmt: Format, fraction: int | None = None) -> float:
    return 2.0 ** -(fmt.fraction if fraction is None else fraction)


@contextmanager
def torch_quantized(engine: str) -> Iterator[None]:
    """torch's engine for quantized kernels, without the warning that they will be removed."""
    before = torch.backends.quantized.engine
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantized tensor.*")
        torch.backends.quantized.engine = engine
        try:
            yield
        finally:
            torch.backends.quantized.engine = before


def to_torch(codes: np.ndarray, fmt: Format) -> torch.Tensor:
    """Codes as a quint8 tensor."""
    values = torch.from_numpy(codes.astype(np.float32) * np.float32(fmt.step))
    return torch.quantize_per_tensor(values, fmt.step, zero_point(fmt), torch.quint8)


def by_torch(case: LayerCase) -> np.ndarray:
    """The layer's codes, before its clip, by torch's quantized kernels."""
    layer, fmt = case.layer, case.layer.format
    with torch_quantized(ADD_ENGINE if isinstance(layer, QAdd) else ENGINE):
        inputs = [to_torch(x, f) for x, f in zip(case.inputs, case.formats, strict=True)]
        scale, zero = fmt.step, zero_point(fmt)
        match layer:
            case QConv():
                y = torch_conv(layer, inputs[0], case.inputs[0], case.formats[0])
            case QMaxPool():
                # Padding never wins; the lowest code around the input never does either.
                x, window = padded(case.inputs[0], layer.window, case.formats[0].low), layer.window
                y = quantized.max_pool2d(
                    to_torch(x, fmt), window.kernel, window.stride, 0, window.dilation
                )
            case QAvgPool():
                x, window = padded(case.inputs[0], layer.window, 0), layer.window
                y = quantized.avg_pool2d(to_torch(x, fmt), window.kernel, window.stride)
            case QAdd():
                y = torch.ops.quantized.add(*inputs, scale, zero)
            case QConcat():
                y = torch.ops.quantized.cat(inputs, 1, scale, zero)
        return y.int_repr().numpy().astype(np.int32) - zero


def torch_conv(layer: QConv, x: torch.Tensor, codes: np.ndarray, source: Format) -> torch.Tensor:
    if any(layer.window.padding):
        x = to_torch(padded(codes, layer.window, 0), source)
    scales = 2.0 ** -layer.weight_fraction.astype(np.float64)
    weight = torch.quantize_per_channel(
        torch.from_numpy((layer.weight * scales[:, None, None, None]).astype(np.float32)),
        torch.from_numpy(scales),
        torch.zeros(len(scales), dtype=torch.long),
        0,
        torch.qint8,
    )
    return quantized.conv2d(
        x,
        weight,
        torch.from_numpy((layer.bias * scales * source.step).astype(np.float32)),
        layer.window.stride,
        0,
        layer.window.dilation,
        layer.groups,
        scale=layer.format.step,
        zero_point=zero_point(layer.format),
    )


def padded(codes: np.ndarray, window: Window, value: int) -> np.ndarray:
    """Codes with the window's padding of ``value`` around them."""
    top, left, bottom, right = window.padding
    around = ((0, 0), (0, 0), (top, bottom), (left, right))
    return np.pad(codes, around, constant_values=value)


def by_onnxruntime(case: LayerCase) -> np.ndarray:
    """The layer's codes, before its clip, by ONNX Runtime's quantized operators."""
    layer, zero = case.layer, zero_point(case.layer.format)
    inputs: list = [
        (x + zero_point(f)).astype(np.uint8) for x, f in zip(case.inputs, case.formats, strict=True)
    ]
    scales = [(np.float32(f.step), np.uint8(zero_point(f))) for f in case.formats]
    target = (np.float32(layer.format.step), np.uint8(zero))
    attributes: dict = {}
    if isinstance(layer, QConv | QMaxPool | QAvgPool):
        window = layer.window
        attributes = {
            "kernel_shape": window.kernel,
            "strides": window.stride,
            "pads": window.padding,
        }
        if not isinstance(layer, QAvgPool):
            attributes["dilations"] = window.dilation
    match layer:
        case QConv():
            operator = "QLinearConv"
            attributes["group"] = layer.groups
            weight = (layer.weight + 128).astype(np.uint8)
            weight_scale = (2.0 ** -layer.weight_fraction.astype(np.float64)).astype(np.float32)
            weight_zero = np.full(len(weight), 128, np.uint8)
            feeds = [inputs[0], *scales[0], weight, weight_scale, weight_zero, *target]
            feeds.append(layer.bias.astype(np.int32))
        case QMaxPool():
            operator, feeds = "MaxPool", inputs
        case QAvgPool():
            operator, feeds = "QLinearAveragePool", [inputs[0], *scales[0], *target]
            attributes["count_include_pad"] = 1
        case QAdd():
            operator = "QLinearAdd"
            feeds = [inputs[0], *scales[0], inputs[1], *scales[1], *target]
        case QConcat():
            operator = "QLinearConcat"
            attributes["axis"] = 1
            feeds = [*target, *(v for x, s in zip(inputs, scales, strict=True) for v in (x, *s))]
        case _:
            raise TypeError(f"ONNX Runtime has no operator for a {type(layer).__name__}")
    arrays = [np.asarray(feed) for feed in feeds]
    kinds = tuple((array.dtype.str, array.ndim) for array in arrays)
    run = session(operator, tuple(sorted(attributes.items())), kinds)
    names = [node.name for node in run.get_inputs()]
    return run.run(None, dict(zip(names, arrays, strict=True)))[0].astype(np.int32) - zero


@lru_cache(maxsize=64)
def session(operator: str, attributes: tuple, kinds: tuple) -> onnxruntime.InferenceSession:
    """A model of one node whose inputs, parameters included, are all fed at run time."""
    names = [f"i{index}" for index in range(len(kinds))]
    types = {"|u1": TensorProto.UINT8, "<f4": TensorProto.FLOAT, "<i4": TensorProto.INT32}
    extension = operator in ("QLinearAdd", "QLinearAveragePool", "QLinearConcat")
    node = helper.make_node(
        operator,
        names,
        ["y"],
        domain="com.microsoft" if extension else "",
        **dict(attributes),
    )
    graph = helper.make_graph(
        [node],
        operator,
        [
            helper.make_tensor_value_info(name, types[kind], [None] * rank)
            for name, (kind, rank) in zip(names, kinds, strict=True)
        ],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
    )
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    checked, mismatches = check_layers(*(arguments + [1000, 0][len(arguments) :]))
    print(f"{checked} layers checked, {mismatches} differ")
