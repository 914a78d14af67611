"""Rounding by calibration as the beginning of quantized training.

Quantization without training (:mod:`quant.schemes.rounding`) finds levels with which the layers'
outputs err little. Training that begins there has little left to do.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from quant.alone import float_conv
from quant.errors import NoMulError
from quant.importers import load
from quant.quantize import quantize
from quant.quantized import QConv
from quant.schemes import Scheme

__all__ = ["Rounded", "round_layers", "set_layers"]

Rounded = tuple[torch.Tensor, torch.Tensor]
"""Weight and bias of a layer: float32 (outputs, ...) and (outputs,)."""


def round_layers(
    model: nn.Module, images: torch.Tensor, scheme: str | Scheme
) -> dict[str, Rounded]:
    """Weights rounded by a scheme and biases that make up for it, by the layers' names.

    Parameters
    ----------
    model : module
        In evaluation mode, batch norms folded.
    images : float32 (images, channels, rows, columns)
        Preprocessed training images of mixed classes.
    scheme : str or Scheme
        As of :func:`~quant.quantize.quantize`.

    Errors: :class:`NoMulError` for a layer that import changes, so that it cannot be found again.
    """
    graph = load(model, tuple(images.shape[1:]))
    qgraph = quantize(graph, images.contiguous().numpy(), scheme)
    rounded = []
    for layer in qgraph.layers:
        if isinstance(layer, QConv):
            unit = qgraph.format_of(layer.inputs[0]).fraction + layer.weight_fraction
            weight = np.ldexp(
                layer.weight.astype(np.float32), -layer.weight_fraction[:, None, None, None]
            )
            bias = np.ldexp(layer.bias.astype(np.float64), -unit).astype(np.float32)
            rounded.append((float_conv(graph, qgraph, layer).weight, weight, bias))
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            own = module.weight.detach().numpy()
            same = [r for r in rounded if np.array_equal(r[0].reshape(len(r[0]), -1), flat(own))]
            if not same:
                raise NoMulError(
                    f"import changes the weights of {name}, so training cannot begin with its "
                    "calibrated ones; set the option start to weights"
                )
            _, weight, bias = same[0]
            found[name] = (
                torch.from_numpy(weight.reshape(own.shape)),
                torch.from_numpy(bias),
            )
    return found


def set_layers(
    model: nn.Module, layers: Iterable[nn.Conv2d | nn.Linear], rounded: dict[str, Rounded]
) -> None:
    """Give layers of a network their values by name; those without a bias get one."""
    names = {module: name for name, module in model.named_modules()}
    with torch.no_grad():
        for layer in layers:
            weight, bias = rounded[names[layer]]
            layer.weight.copy_(weight)
            if layer.bias is None:
                layer.bias = nn.Parameter(bias)
            else:
                layer.bias.copy_(bias)


def flat(weight: np.ndarray) -> np.ndarray:
    """A weight as (outputs, inputs)."""
    return weight.reshape(len(weight), -1)
