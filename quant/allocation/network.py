"""A float graph whose outputs can be differentiated by its weights and tensors."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from quant.floating import pad, run_layer, to_tensor
from quant.graph import Conv, Graph

__all__ = [
    "FloatNetwork",
    "batches",
    "convolve",
    "divergence",
    "losses",
    "sampled_labels",
]


@dataclass(frozen=True)
class FloatNetwork:
    """A graph as a function of images, and of weights in the place of its own."""

    graph: Graph

    @property
    def convolutions(self) -> list[Conv]:
        """All convolutions in order."""
        return [layer for layer in self.graph.layers if isinstance(layer, Conv)]

    def weights(self) -> dict[str, torch.Tensor]:
        """Copies of all weights, with gradients, by the convolutions' names."""
        return {
            conv.name: to_tensor(conv.weight).clone().requires_grad_() for conv in self.convolutions
        }

    def tensors(
        self, x: torch.Tensor, weights: dict[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """All tensors by name, the images' and the output's too."""
        tensors = {self.graph.input: x}
        for layer in self.graph.layers:
            inputs = [tensors[name] for name in layer.inputs]
            if weights is not None and isinstance(layer, Conv):
                tensors[layer.name] = convolve(layer, inputs[0], weights[layer.name], True)
            else:
                tensors[layer.name] = run_layer(layer, inputs)
        return tensors

    def outputs(
        self, x: torch.Tensor, weights: dict[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """What the network returns, (images, classes)."""
        return self.tensors(x, weights)[self.graph.output].flatten(1)


def convolve(conv: Conv, x: torch.Tensor, weight: torch.Tensor, bias: bool) -> torch.Tensor:
    """The convolution's output with another weight, with its bias or without one."""
    window = conv.window
    return F.conv2d(
        pad(x, conv, 0.0),
        weight,
        to_tensor(conv.bias) if bias else None,
        window.stride,
        0,
        window.dilation,
        conv.groups,
    )


def batches(images: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    """The images in batches."""
    for start in range(0, len(images), size):
        yield to_tensor(images[start : start + size])


def sampled_labels(outputs: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """A class for each image, as likely as the network says.

    The second moments of gradients of these classes' losses are the Hessian of the
    Kullback-Leibler divergence from the network's own classes, which needs no true labels.
    """
    return torch.multinomial(outputs.detach().softmax(1), 1, generator=random)[:, 0]


def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over the images of the negative logarithms of the classes' probabilities."""
    return F.cross_entropy(outputs, labels, reduction="sum")


def divergence(outputs: torch.Tensor) -> torch.Tensor:
    """Sum over the images of the divergence from the classes as they are, which is flat here.

    Up to a constant; its second derivatives are what is looked at.
    """
    return -(outputs.detach().softmax(1) * outputs.log_softmax(1)).sum()
