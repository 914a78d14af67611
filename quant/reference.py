"""The integer reference: every layer of a quantized graph on a batch, bit for bit, fast.

Sums of products run through matrix multiplication in floating point where that is proved exact:
if no sum of absolute values can exceed 2**24 (float32) or 2**53 (float64), then every partial
sum, in any order, is an integer that the type holds exactly. Beyond that the inputs are cut into
digits so narrow that float64 is exact for each, and int64 adds what the digits make.
"""

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from quant.errors import NoMulError
from quant.graph import Window
from quant.numbers import (
    Format,
    dequantize,
    quantize,
    requantize,
    requantize_float,
    saturate,
    to_log,
)
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
from quant.stochastic import requantize_stochastic, stochastic_noise

__all__ = [
    "accumulate",
    "largest_sum",
    "predict",
    "quantize_input",
    "run_layer",
    "run_reference",
    "visit_reference",
]

# Largest sums that each type of accumulator holds exactly.
EXACT = {np.float32: 2**24, np.float64: 2**53, np.int64: 2**63 - 1}


def quantize_input(qgraph: QuantizedGraph, images: np.ndarray) -> np.ndarray:
    """Codes of preprocessed images, (images, channels, height, width).

    Errors: :class:`NoMulError` for another shape, a type that is no float, NaN or infinity.
    """
    check_images(images, qgraph.input_shape, qgraph.name)
    return quantize(images, qgraph.input_format).astype(storage(qgraph.input_format))


def check_images(images: np.ndarray, shape: tuple[int, int, int], name: str) -> None:
    """Refuse what is no batch of preprocessed images for the network ``name``."""
    expected = f"(images, {', '.join(map(str, shape))})"
    if not isinstance(images, np.ndarray):
        raise NoMulError(
            f"images for {name} are a {type(images).__name__}; give a numpy array {expected}"
        )
    if images.dtype != np.float32:
        raise NoMulError(
            f"images for {name} are {images.dtype}; give float32, preprocessed as in training"
        )
    if images.ndim != 4 or images.shape[1:] != tuple(shape):
        raise NoMulError(f"images for {name} have the shape {images.shape}; give {expected}")
    if not np.isfinite(images).all():
        bad = int(np.argmin(np.isfinite(images).reshape(len(images), -1).all(axis=1)))
        raise NoMulError(f"image {bad} for {name} holds NaN or infinity; leave it out or mend it")


def run_reference(
    qgraph: QuantizedGraph, codes: np.ndarray, keep: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Integer tensors by name, (images, channels, height, width).

    They are int32, and int64 only where a format is 32 bits unsigned.

    Parameters
    ----------
    qgraph : QuantizedGraph
    codes : integer array (images, channels, height, width)
        Input codes, as from :func:`quantize_input`.
    keep : names of tensors, optional
        What to return; every tensor, the input included, where it is not given.

    Errors: :class:`NoMulError` for codes of another shape, or outside the input's format.
    """
    return {
        name: tensor
        for name, tensor in visit_reference(qgraph, codes)
        if keep is None or name in keep
    }


def visit_reference(qgraph: QuantizedGraph, codes: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Name and tensor of the input and of every layer in turn; holds what is still needed."""
    if not np.issubdtype(codes.dtype, np.integer) or codes.shape[1:] != qgraph.input_shape:
        raise NoMulError(
            f"input codes of {qgraph.name} are {codes.dtype} {codes.shape}; give integers of the "
            f"shape (images, {', '.join(map(str, qgraph.input_shape))})"
        )
    if not qgraph.input_format.holds(codes):
        low, high = qgraph.input_format.low, qgraph.input_format.high
        raise NoMulError(
            f"input codes of {qgraph.name} lie outside {low} .. {high}; make them with "
            "quantize_input"
        )
    formats = {qgraph.input: qgraph.input_format}
    formats |= {layer.name: layer.format for layer in qgraph.layers}
    last = {name: layer.name for layer in qgraph.layers for name in layer.inputs}
    tensors = {qgraph.input: codes.astype(storage(qgraph.input_format), copy=False)}
    yield qgraph.input, tensors[qgraph.input]
    for layer in qgraph.layers:
        tensor = run_layer(
            layer, [tensors[name] for name in layer.inputs], [formats[n] for n in layer.inputs]
        )
        tensors[layer.name] = tensor
        yield layer.name, tensor
        for name in {*layer.inputs, layer.name}:
            if last.get(name, layer.name) == layer.name:
                del tensors[name]


def predict(
    qgraph: QuantizedGraph,
    images: np.ndarray,
    batch: int = 16,
    progress: Callable[[int, int, str], None] | None = None,
) -> np.ndarray:
    """What the network returns for preprocessed images: float64 (images, outputs).

    Batches of ``batch`` images run on all processors, one each, which is faster than one batch
    whose small matrix products are split. ``progress(done, total, label)`` is called after each.
    Errors as in :func:`quantize_input`.
    """
    check_images(images, qgraph.input_shape, qgraph.name)
    results = np.empty((len(images), int(np.prod(qgraph.shape_of(qgraph.output)))))
    fraction = qgraph.format_of(qgraph.output).fraction

    def run(start: int) -> int:
        part = slice(start, start + batch)
        codes = quantize_input(qgraph, images[part])
        output = run_reference(qgraph, codes, keep=[qgraph.output])[qgraph.output]
        results[part] = dequantize(output.reshape(len(output), -1), fraction)
        return min(start + batch, len(images))

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(run, range(0, len(images), batch)):
            if progress:
                progress(done, len(images), "reference")
    return results


def run_layer(layer: QLayer, inputs: list[np.ndarray], formats: list[Format]) -> np.ndarray:
    """The tensor that a layer makes of its inputs, exactly the layer's own formula.

    Parameters
    ----------
    inputs : list of integer arrays (images, channels, height, width)
    formats : list of Format
        Of the inputs; they bound the sums.
    """
    low, high = layer.low, layer.high
    match layer:
        case QConv():
            sums = accumulate(layer, inputs, formats)
            shift = layer.shift[:, None, None]
            if sums.dtype == np.int64 or layer.rounding == "stochastic":
                result = _round(layer, sums.astype(np.int64, copy=False), shift)
            else:
                # The sums' memory is channels last, and numpy works in memory order.
                result = requantize_float(sums, shift, low, high)
        case QMaxPool():
            result = saturate(_max_pool(inputs[0], layer.window), low, high)
        case QAvgPool():
            total = _sum_pool(inputs[0], layer.window)
            result = _round(layer, total * layer.multiplier, layer.shift)
        case QAdd():
            a, b = (x.astype(np.int64) << s for x, s in zip(inputs, layer.shifts, strict=True))
            result = _round(layer, a + b, layer.shift)
        case QConcat():
            result = saturate(np.concatenate(inputs, axis=1), low, high)
        case QUpsample():
            rows, columns = layer.factor
            result = saturate(inputs[0].repeat(rows, axis=2).repeat(columns, axis=3), low, high)
        case QRequantize():
            result = _round(layer, inputs[0].astype(np.int64) << layer.left, layer.shift)
        case _:
            raise TypeError(
                f"{layer.name} is a {type(layer).__name__}, which is no quantized layer"
            )
    if layer.format.logarithmic:
        result = to_log(result)
    return result.astype(storage(layer.format), copy=False)


def _round(layer: QLayer, x: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """Accumulators of a layer, int64, to codes, rounded as the layer says."""
    if layer.rounding == "even":
        return requantize(x, shift, layer.low, layer.high)
    channels, height, width = layer.shape
    noise = stochastic_noise(layer.seed, channels, height * width).reshape(layer.shape)
    return requantize_stochastic(x, shift, layer.low, layer.high, noise)


def storage(fmt: Format) -> type[np.signedinteger]:
    """Type that holds a tensor's codes: int32, or int64 where a code may not fit it."""
    return np.int32 if fmt.high <= np.iinfo(np.int32).max else np.int64


def largest_sum(layer: QConv, formats: list[Format]) -> int:
    """Bound of a convolution's accumulator: no partial sum in any order exceeds it in size.

    ``max over o of sum(abs(weight[o])) * max(abs(x)) + abs(bias[o]) + (max(abs(r)) <<
    residual_shift[o])``, for inputs of these formats.
    """
    sizes = [max(-fmt.low, fmt.high) for fmt in formats]
    taps = np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(axis=1)
    bounds = [
        int(tap) * sizes[0] + abs(int(bias)) + (sizes[1] << int(left) if sizes[1:] else 0)
        for tap, bias, left in zip(taps, layer.bias, layer.residual_shift, strict=True)
    ]
    return max(bounds)


def accumulate(layer: QConv, inputs: list[np.ndarray], formats: list[Format]) -> np.ndarray:
    """Accumulators of a convolution before requantization, (images, channels, height, width).

    Integers, held in float32 or float64 where :func:`largest_sum` proves that exact, else in
    int64. Errors: :class:`NoMulError` if even 64 bits do not hold them.
    """
    bound = largest_sum(layer, formats)
    kind = next((kind for kind, exact in EXACT.items() if bound <= exact), None)
    if kind is None:
        raise NoMulError(
            f"sums of layer {layer.name} need {bound.bit_length() + 1} bits, more than 64; "
            "quantize it to fewer bits"
        )
    if kind is np.int64:
        sums = _convolve_wide(inputs[0], layer)
    else:
        sums = _convolve(inputs[0], layer, kind)
    sums += layer.bias.astype(kind)
    if inputs[1:]:
        left = np.int64(1) << layer.residual_shift.astype(np.int64)
        sums += _channels_last(inputs[1]).astype(kind) * left.astype(kind)
    return sums.transpose(0, 3, 1, 2)


def _convolve_wide(x: np.ndarray, layer: QConv) -> np.ndarray:
    """Sums of products, int64 (images, height, width, outputs), digit after digit of the input.

    ``x = sum(digit[k] << k * bits)``, where ``bits`` leaves float64 exact with these weights; the
    last digit has the sign. Sums may wrap on the way, as the total fits.
    """
    taps = np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(axis=1)
    bits = EXACT[np.float64].bit_length() - 1 - int(taps.max()).bit_length()
    x, sums, left = x.astype(np.int64), np.zeros(1, np.int64), 0
    while True:
        last = bool((np.abs(x) < 1 << bits).all())
        digit = x if last else x & (1 << bits) - 1
        sums = sums + (_convolve(digit, layer, np.float64).astype(np.int64) << left)
        if last:
            return sums
        x, left = x >> bits, left + bits


def _channels_last(x: np.ndarray) -> np.ndarray:
    """View as (images, height, width, channels), which is how results lie in memory."""
    return x.transpose(0, 2, 3, 1)


def _convolve(x: np.ndarray, layer: QConv, kind: type) -> np.ndarray:
    """Sums of products, (images, height, width, outputs), tap after tap."""
    groups, window = layer.groups, layer.window
    outputs, per_group = layer.weight.shape[:2]
    weight: np.ndarray = layer.weight.astype(kind)
    _, height, width = layer.shape
    images = len(x)
    padded = _pad(_channels_last(x), window, 0, kind)
    sums: np.ndarray = np.zeros((images, height, width, outputs), kind)
    taps: np.ndarray = np.empty((images, height, width, padded.shape[3]), kind)
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            tap = _tap(padded, window, row, column, height, width)
            at = weight[:, :, row, column]
            if per_group == 1 and outputs == groups:
                sums += np.multiply(tap, at[:, 0], out=taps)
            elif groups == 1:
                np.copyto(taps, tap)
                sums += (taps.reshape(-1, per_group) @ at.T).reshape(sums.shape)
            else:
                split = tap.reshape(images * height * width, groups, per_group).transpose(1, 0, 2)
                part = split @ at.reshape(groups, -1, per_group).transpose(0, 2, 1)
                sums += part.transpose(1, 0, 2).reshape(sums.shape)
    return sums


def _tap(
    padded: np.ndarray, window: Window, row: int, column: int, height: int, width: int
) -> np.ndarray:
    """What one kernel position sees at every output position (channels last, a view)."""
    top, left = row * window.dilation[0], column * window.dilation[1]
    bottom = top + (height - 1) * window.stride[0] + 1
    right = left + (width - 1) * window.stride[1] + 1
    return padded[:, top : bottom : window.stride[0], left : right : window.stride[1]]


def _pad(x: np.ndarray, window: Window, value: int, kind: npt.DTypeLike) -> np.ndarray:
    """The input (channels last) as ``kind`` with the window's padding around it."""
    top, left, bottom, right = window.padding
    images, height, width, channels = x.shape
    padded = np.full((images, height + top + bottom, width + left + right, channels), value, kind)
    padded[:, top : top + height, left : left + width] = x
    return padded


def _taps(x: np.ndarray, window: Window, value: int, kind: npt.DTypeLike) -> Iterator[np.ndarray]:
    """What each kernel position sees, channels last."""
    height, width = window.output_size(*x.shape[2:])
    padded = _pad(_channels_last(x), window, value, kind)
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            yield _tap(padded, window, row, column, height, width)


def _max_pool(x: np.ndarray, window: Window) -> np.ndarray:
    taps = _taps(x, window, np.iinfo(x.dtype).min, x.dtype)
    result = next(taps).copy()
    for tap in taps:
        np.maximum(result, tap, out=result)
    return result.transpose(0, 3, 1, 2)


def _sum_pool(x: np.ndarray, window: Window) -> np.ndarray:
    taps = _taps(x, window, 0, np.int64)
    result = next(taps).copy()
    for tap in taps:
        result += tap
    return result.transpose(0, 3, 1, 2)
