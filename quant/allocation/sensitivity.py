"""Sensitivity: what rounding each output channel to each width costs the network.

The cost is the Kullback-Leibler divergence (nats an image) of the network's classes from those of
the float network, to second order in the rounding errors, which are taken as independent of channel
to channel. So the sum over channels estimates a whole allocation, and no labels are needed. Three
measures:

* ``output``: measured output errors. ``½ E[(Σ g δ)²]`` over images, with δ the error at a channel's
  output that its rounded weights make, its mean taken off, and g the gradient there of the loss of
  a class that is drawn as the network says.
* ``hessian``: ``½ t / n * |ΔW|²`` with t the channel's share of the Hessian's trace, by
  Hutchinson's estimate, and n its weights. The estimate is noisy: no t is taken as less than
  ``FLOOR`` of the layer's mean.
* ``fisher``: the same with the mean squares of the gradients, which are the diagonal of the Fisher
  information.

The last two look at weights only, which are rounded to nearest for them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from quant.allocation.network import (
    FloatNetwork,
    batches,
    convolve,
    divergence,
    losses,
    sampled_labels,
)
from quant.allocation.probe import rounded_weights
from quant.allocation.tables import check_kind
from quant.errors import NoMulError
from quant.graph import Graph

__all__ = ["MEASURES", "Progress", "Sensitivity", "measure_sensitivity"]

Progress = Callable[[int, int | None, str], None]
Rounded = Mapping[str, np.ndarray]

BATCH = 32
SAMPLES = 4  # classes that are drawn for an image, or directions for a batch
FLOOR = 0.05


@dataclass(frozen=True)
class Sensitivity:
    """What widths cost.

    Parameters
    ----------
    kind : str
        Of the weights (:data:`~quant.allocation.tables.KINDS`).
    rounding : str
        How weights will be rounded (:data:`~quant.allocation.mixed.ROUNDINGS`).
    measure : str
    costs : dict of float64 (outputs, widths)
        By the convolution's name; widths as :data:`~quant.allocation.tables.WIDTHS`.
    elements : dict of int
        Weights of an output channel.
    """

    kind: str
    rounding: str
    measure: str
    costs: dict[str, np.ndarray]
    elements: dict[str, int]

    @property
    def weights(self) -> int:
        """Weights of all layers."""
        return sum(len(self.costs[name]) * count for name, count in self.elements.items())


def measure_sensitivity(
    graph: Graph,
    images: np.ndarray,
    kind: str = "log",
    measure: str = "output",
    rounding: str = "compensated",
    seed: int = 0,
    progress: Progress | None = None,
) -> Sensitivity:
    """Sensitivities of all output channels of a network.

    Parameters
    ----------
    graph : Graph
    images : float32 (images, channels, height, width)
        Preprocessed training images.
    kind, measure, rounding : str
    seed : int
        Of drawn classes and of random directions.
    progress : function (done, total, label), optional

    Errors: :class:`NoMulError` for an unknown kind or measure, for a network without convolutions,
    and as of :func:`~quant.quantize.quantize`.
    """
    check_kind(kind)
    if measure not in MEASURES:
        raise NoMulError(f"no sensitivity {measure!r}; choose one of: {', '.join(MEASURES)}")
    network = FloatNetwork(graph)
    if not network.convolutions:
        raise NoMulError(f"{graph.name} has no weights to give widths to")
    how = rounding if measure == "output" else "nearest"
    rounded = rounded_weights(graph, images, kind, how, progress)
    random = torch.Generator().manual_seed(seed)
    totals: dict[str, np.ndarray] = {}
    done = 0
    for x in batches(images, BATCH):
        for name, part in MEASURES[measure](network, x, rounded, random).items():
            totals[name] = totals.get(name, 0.0) + part
        done += len(x)
        if progress:
            progress(done, len(images), "sensitivity")
    costs = {name: total / len(images) for name, total in totals.items()}
    if measure != "output":
        costs = weighted(network, costs, rounded)
    elements = {conv.name: conv.weight[0].size for conv in network.convolutions}
    return Sensitivity(kind, rounding, measure, costs, elements)


def by_output(
    network: FloatNetwork, x: torch.Tensor, rounded: Rounded, random: torch.Generator
) -> dict[str, np.ndarray]:
    """Sum over images of ``½ (Σ g δ)²``, the mean over ``SAMPLES`` drawn classes."""
    convs = network.convolutions
    tensors = network.tensors(x.requires_grad_())
    outputs = tensors[network.graph.output].flatten(1)
    made = [tensors[conv.name] for conv in convs]
    drawn = [
        torch.autograd.grad(
            losses(outputs, sampled_labels(outputs, random)), made, retain_graph=True
        )
        for _ in range(SAMPLES)
    ]
    found = {}
    with torch.no_grad():
        for conv, *gradients in zip(convs, *drawn, strict=True):
            change = torch.from_numpy(rounded[conv.name] - conv.weight)
            gradient = torch.stack([g.flatten(2) for g in gradients], 3)
            columns = []
            for each in change:
                error = convolve(conv, tensors[conv.inputs[0]], each, False).flatten(2)
                error -= error.mean((0, 2), keepdim=True)
                product = error[:, :, None] @ gradient
                columns.append(product[:, :, 0].square().mean(2).sum(0))
            found[conv.name] = 0.5 * torch.stack(columns, 1).double().numpy()
    return found


def by_hessian(
    network: FloatNetwork, x: torch.Tensor, rounded: Rounded, random: torch.Generator
) -> dict[str, np.ndarray]:
    """Hutchinson: the mean of ``v (H v)`` over random signs v, by two derivatives.

    A sum over images, of each output channel: float64 (outputs,).
    """
    weights = network.weights()
    outputs = network.outputs(x, weights)
    loss = divergence(outputs)
    parameters = list(weights.values())
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    totals = {name: np.zeros(len(weight)) for name, weight in weights.items()}
    for _ in range(SAMPLES):
        signs = [
            torch.randint(0, 2, p.shape, generator=random).to(p.dtype) * 2 - 1 for p in parameters
        ]
        slope = torch.stack([(g * v).sum() for g, v in zip(first, signs, strict=True)]).sum()
        second = torch.autograd.grad(slope, parameters, retain_graph=True)
        for name, v, h in zip(weights, signs, second, strict=True):
            totals[name] += sums(v * h) / SAMPLES
    return totals


def by_fisher(
    network: FloatNetwork, x: torch.Tensor, rounded: Rounded, random: torch.Generator
) -> dict[str, np.ndarray]:
    """Squares of the gradient of a batch's loss, summed over an output channel: (outputs,).

    The gradients of drawn classes have no mean and are independent from image to image, so the
    square of their sum is, on average, the sum of their squares.
    """
    weights = network.weights()
    outputs = network.outputs(x, weights)
    totals = {name: np.zeros(len(weight)) for name, weight in weights.items()}
    for _ in range(SAMPLES):
        loss = losses(outputs, sampled_labels(outputs, random))
        gradients = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
        for name, gradient in zip(weights, gradients, strict=True):
            totals[name] += sums(gradient.square()) / SAMPLES
    return totals


def sums(values: torch.Tensor) -> np.ndarray:
    """Sum over each output channel: float64 (outputs,)."""
    return values.detach().double().flatten(1).sum(1).numpy()


def weighted(
    network: FloatNetwork, traces: dict[str, np.ndarray], rounded: Rounded
) -> dict[str, np.ndarray]:
    """``½ t / n * |ΔW|²`` of each channel and width, with t the channel's trace."""
    found = {}
    for conv in network.convolutions:
        trace = np.maximum(traces[conv.name], FLOOR * max(traces[conv.name].mean(), 0.0))
        change = (rounded[conv.name].astype(np.float64) - conv.weight) ** 2
        errors = change.reshape(*change.shape[:2], -1).mean(axis=2).T
        found[conv.name] = 0.5 * trace[:, None] * errors
    return found


MEASURES: dict[str, Callable[..., dict[str, np.ndarray]]] = {
    "output": by_output,
    "hessian": by_hessian,
    "fisher": by_fisher,
}
