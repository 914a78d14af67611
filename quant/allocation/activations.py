"""Widths of activations: 4 to 8 bits a tensor, within a mean."""

import numpy as np
import torch

from quant.allocation.network import FloatNetwork, batches, losses, sampled_labels
from quant.allocation.program import choose, options_of
from quant.allocation.sensitivity import BATCH, SAMPLES, Progress
from quant.allocation.tables import ACTIVATION_WIDTHS
from quant.calibrate import find_method, observe
from quant.errors import NoMulError
from quant.formats import FormatPlan
from quant.graph import Conv, Graph
from quant.layer_inputs import LayerInputs
from quant.numbers import Format
from quant.schemes import Activations, Scheme

__all__ = ["allocate_activations"]


class Width(Scheme):
    """Activations of one width; formats are all that is asked of it."""

    def quantize_weights(self, conv: Conv, inputs: LayerInputs) -> tuple[np.ndarray, np.ndarray]:
        raise TypeError("this scheme has no weights")


def allocate_activations(
    graph: Graph,
    images: np.ndarray,
    mean: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Bits of each tensor whose width can be chosen: those of least cost within a mean.

    The cost is measured as ``output`` of :mod:`~quant.allocation.sensitivity` is, with δ the error
    of rounding the tensor. The mean is over all values of these tensors. The network's input and
    output keep 8 bits.

    Parameters
    ----------
    graph : Graph
    images : float32 (images, channels, height, width)
        Preprocessed training images.
    mean : float
        Most bits.
    seed : int
    progress : function (done, total, label), optional

    Errors: :class:`NoMulError` for a mean below the least width.
    """
    least = ACTIVATION_WIDTHS[0]
    if mean < least:
        raise NoMulError(f"activations of {mean:g} bits are too narrow; give {least} or more")
    observed = observe(graph, images, progress)
    method = find_method("mse")
    plans = [
        FormatPlan(graph, observed, method, Width(f"{bits} bits", Activations(bits)))
        for bits in ACTIVATION_WIDTHS
    ]
    names = chosen_tensors(plans[0])
    costs = {name: np.zeros(len(plans)) for name in names}
    network, random = FloatNetwork(graph), torch.Generator().manual_seed(seed)
    done = 0
    for x in batches(images, BATCH):
        tensors = network.tensors(x.requires_grad_())
        outputs = tensors[graph.output].flatten(1)
        read = [tensors[name] for name in names]
        for _ in range(SAMPLES):
            loss = losses(outputs, sampled_labels(outputs, random))
            gradients = torch.autograd.grad(loss, read, retain_graph=True)
            for name, tensor, gradient in zip(names, read, gradients, strict=True):
                for index, plan in enumerate(plans):
                    error = rounding_error(tensor.detach(), plan.wish(name))
                    cost = 0.5 * (gradient * error).flatten(1).sum(1).square().sum()
                    costs[name][index] += float(cost) / SAMPLES / len(images)
        done += len(x)
        if progress:
            progress(done, len(images), "activations")
    values = {name: float(np.prod(graph.shape_of(name))) for name in names}
    options = [
        options_of(costs[name][None], (values[name] * np.array(ACTIVATION_WIDTHS))[None, :, None])
        for name in names
    ]
    chosen = choose(options, [mean * sum(values.values())])
    return {
        name: ACTIVATION_WIDTHS[layer.choices[option, 0]]
        for name, layer, option in zip(names, options, chosen, strict=True)
    }


def chosen_tensors(plan: FormatPlan) -> list[str]:
    """Tensors that have a format of their own, but the network's input and output."""
    graph = plan.graph
    made = [step.name for step in plan.steps]
    return [name for name in made if name != graph.output and plan.decider(name) == name]


def rounding_error(tensor: torch.Tensor, fmt: Format) -> torch.Tensor:
    """What rounding to a format adds, its mean over images and positions of a channel taken off."""
    codes = (tensor / fmt.step).round().clamp(fmt.low, fmt.high)
    error = codes * fmt.step - tensor
    return error - error.mean((0, 2, 3), keepdim=True)
