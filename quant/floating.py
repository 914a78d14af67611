"""The float graph in torch: the oracle of the import stage and the source of calibration data."""

from collections.abc import Callable, Collection

import numpy as np
import torch
import torch.nn.functional as F

from quant.errors import NoMulError
from quant.graph import Add, AvgPool, Clip, Concat, Conv, Graph, Layer, MaxPool, Upsample

__all__ = ["compare_import", "relative_error", "run_float", "visit_float"]


def run_float(
    graph: Graph, x: np.ndarray, keep: Collection[str] | None = None, batch: int = 64
) -> dict[str, np.ndarray]:
    """Tensors of a graph, by name.

    Parameters
    ----------
    x : float32 (images, channels, rows, columns)
    keep : names of tensors, optional
        What to return, the input included; every tensor where it is not given. Other tensors are
        let go as soon as nothing needs them.
    batch : int
        Images to run at a time.

    Returns float32 (images, channels, rows, columns) per tensor. Errors: :class:`NoMulError` for
    an input of another shape or type.
    """
    wanted = {graph.input, *(layer.name for layer in graph.layers)} if keep is None else set(keep)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}

    def visit(name: str, values: np.ndarray) -> None:
        if name in parts:
            parts[name].append(values)

    visit_float(graph, x, visit, batch)
    return {name: np.concatenate(values) for name, values in parts.items()}


def visit_float(
    graph: Graph, x: np.ndarray, visit: Callable[[str, np.ndarray], None], batch: int = 64
) -> None:
    """Call ``visit(name, values)`` for every tensor of every batch, the input included.

    Tensors come in the order of their data, and none is held longer than the graph needs it, so
    statistics over many images take the memory of one batch. Parameters and errors as in
    :func:`run_float`.
    """
    check_batch(graph, x)
    last_reader = {name: layer.name for layer in graph.layers for name in layer.inputs}
    with torch.no_grad():
        for start in range(0, len(x), batch):
            values = x[start : start + batch]
            tensors = {graph.input: to_tensor(values)}
            visit(graph.input, values)
            for layer in graph.layers:
                inputs = [tensors[name] for name in layer.inputs]
                tensors[layer.name] = run_layer(layer, inputs)
                visit(layer.name, tensors[layer.name].numpy())
                for name in (*set(layer.inputs), layer.name):
                    if last_reader.get(name, layer.name) == layer.name:
                        del tensors[name]


def compare_import(
    graph: Graph, original_output: np.ndarray, x: np.ndarray, batch: int = 64
) -> float:
    """Largest difference from the original network, relative to its largest output.

    ``original_output`` is what the network gave for ``x``, the images first, before a softmax at
    its end, which a graph leaves out. Import is right up to float32 rounding below 1e-5.
    """
    output = run_float(graph, x, keep=[graph.output], batch=batch)[graph.output]
    expected = np.asarray(original_output, np.float64).reshape(len(x), -1)
    found = output.reshape(len(x), -1)
    if found.shape != expected.shape:
        raise NoMulError(
            f"{graph.name} gives {found.shape[1]} values an image, the original "
            f"{expected.shape[1]}; compare with the network that was imported"
        )
    return relative_error(found, expected)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, over the largest size of what is expected (over 1 if all that is 0)."""
    largest = np.abs(expected).max()
    return float(np.abs(found - expected).max() / (largest if largest > 0 else 1.0))


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """The same memory as a tensor, or a copy where torch cannot share it."""
    return torch.from_numpy(np.require(array, requirements=("C", "W")))


def check_batch(graph: Graph, x: np.ndarray) -> None:
    """Refuse what is no float32 batch of the graph's input shape."""
    if x.dtype != np.float32 or x.shape[1:] != graph.input_shape or not len(x):
        raise NoMulError(
            f"the input of {graph.name} is {x.dtype} {x.shape}; give float32 with the shape "
            f"(images, {', '.join(map(str, graph.input_shape))}), at least one image"
        )


def run_layer(layer: Layer, inputs: list[torch.Tensor]) -> torch.Tensor:
    """The tensor that a layer makes of its inputs, the batch first."""
    match layer:
        case Conv():
            return F.conv2d(
                pad(inputs[0], layer, 0.0),
                to_tensor(layer.weight),
                to_tensor(layer.bias),
                layer.window.stride,
                0,
                layer.window.dilation,
                layer.groups,
            )
        case MaxPool():
            window = layer.window
            padded = pad(inputs[0], layer, -torch.inf)
            return F.max_pool2d(padded, window.kernel, window.stride, 0, window.dilation)
        case AvgPool():
            # torch's own average pooling has no dilation.
            window, channels = layer.window, layer.shape[0]
            weight = torch.full(
                (channels, 1, *window.kernel), 1 / window.positions, dtype=inputs[0].dtype
            )
            padded = pad(inputs[0], layer, 0.0)
            return F.conv2d(padded, weight, None, window.stride, 0, window.dilation, channels)
        case Clip():
            return inputs[0].clamp(layer.low, layer.high)
        case Add():
            return inputs[0] + inputs[1]
        case Concat():
            return torch.cat(inputs, dim=1)
        case Upsample():
            rows, columns = layer.factor
            return inputs[0].repeat_interleave(rows, 2).repeat_interleave(columns, 3)
    raise TypeError(f"{layer.name} is a {type(layer).__name__}, which is no layer of a graph")


def pad(x: torch.Tensor, layer: Conv | MaxPool | AvgPool, value: float) -> torch.Tensor:
    """The input with the padding of the layer's window around it."""
    top, left, bottom, right = layer.window.padding
    if not any(layer.window.padding):
        return x
    return F.pad(x, (left, right, top, bottom), value=value)
