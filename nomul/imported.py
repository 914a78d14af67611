"""Whether the float graph still computes what the network does."""

from pathlib import Path

import numpy as np
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from quant.floating import relative_error, run_float
from quant.graph import Graph

__all__ = ["import_error"]


def import_error(
    model: nn.Module | Path,
    graph: Graph,
    x: np.ndarray,
    input_shape: tuple[int, ...] | None = None,
) -> float:
    """Largest difference of the graph's output from the network's, over the largest output.

    A softmax at the end of the network, which import leaves out, is applied to the graph's output.

    Parameters
    ----------
    model : torch module or path of an ONNX file
    graph : Graph
        Imported from it.
    x : float32 (count, channels, height, width)
    input_shape : tuple of int, optional
        Of one image as a torch module takes it; that of ``x`` where it is not given.
    """
    if isinstance(model, nn.Module):
        expected = run_module(model, x.reshape(len(x), *(input_shape or x.shape[1:])))
    else:
        expected = run_onnx(model, x)
    expected = expected.reshape(len(x), -1).astype(np.float64)
    output = run_float(graph, x, keep=[graph.output])[graph.output].reshape(len(x), -1)
    found = torch.from_numpy(output).double()
    if sums_to_one(expected) and expected.min() >= 0:
        found = found.softmax(dim=1)
    elif expected.max() <= 0 and sums_to_one(np.exp(expected)):
        found = found.log_softmax(dim=1)
    return relative_error(found.numpy(), expected)


def sums_to_one(values: np.ndarray) -> bool:
    """Whether each row is a distribution, up to float32 rounding."""
    return bool(np.allclose(values.sum(axis=1), 1, atol=1e-5))


def run_module(module: nn.Module, x: np.ndarray) -> np.ndarray:
    """What a torch module returns."""
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def run_onnx(path: Path, x: np.ndarray) -> np.ndarray:
    """What an ONNX file returns by the evaluator of the ONNX project: slow, but not ours."""
    evaluator = ReferenceEvaluator(str(path))
    name = evaluator.input_names[0]
    rank = len(evaluator.input_types[0].tensor_type.shape.dim)
    images = [image[None] if rank == 4 else image.reshape(1, -1) for image in x]
    outputs: list = [evaluator.run(None, {name: image}) for image in images]
    return np.concatenate([np.asarray(results[0]) for results in outputs])
