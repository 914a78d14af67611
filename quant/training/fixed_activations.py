"""Activations of one fixed-point format while training, as the machine will round them."""

import re
from functools import partial
from typing import Any

import torch
from torch import nn

from quant.errors import NoMulError
from quant.numbers import Format

__all__ = ["BITS", "FixedActivations", "fix", "parse_activations"]

BITS = 8
READERS = (nn.Conv2d, nn.Linear, nn.AdaptiveAvgPool2d, nn.AvgPool2d)
"""Layers whose inputs are rounded: those that do not pass codes on as they are."""


def parse_activations(text: str) -> int | None:
    """Fraction bits of ``q<n>``, None of ``float``.

    Errors: :class:`NoMulError` for any other text.

    >>> parse_activations("q5"), parse_activations("float")
    (5, None)
    """
    if text == "float":
        return None
    match = re.fullmatch(f"q([0-{BITS - 1}])", text)
    if not match:
        raise NoMulError(f"activations is {text!r}; give float, or q0 to q{BITS - 1}")
    return int(match[1])


def fix(x: torch.Tensor, fraction: int) -> torch.Tensor:
    """Nearest codes of 8 bits, ties to even, saturated.

    The gradient goes through, but where a value saturates only if a step against it leads back:
    what saturates could otherwise never come back.

    >>> fix(torch.tensor([0.07, -9.0, 4.0]), 5).tolist()
    [0.0625, -4.0, 3.96875]
    """
    return Saturation.apply(x, Format(BITS, True, fraction))


class Saturation(torch.autograd.Function):
    """Values of a format, with the gradient of :func:`fix`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, fmt: Format) -> torch.Tensor:
        codes = x / fmt.step
        ctx.save_for_backward(codes < fmt.low, codes > fmt.high)
        return codes.round().clamp(fmt.low, fmt.high) * fmt.step

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        below, above = ctx.saved_tensors
        gradient = gradients[0]
        away = (below & (gradient > 0)) | (above & (gradient < 0))
        return gradient.masked_fill(away, 0.0), None


class FixedActivations:
    """Rounds what the layers of a network read, and what the network gives, until removed.

    Parameters
    ----------
    model : module
    fraction : int
        Bits behind the point.
    """

    def __init__(self, model: nn.Module, fraction: int) -> None:
        reads = partial(_before, fraction)
        self.hooks = [
            module.register_forward_pre_hook(reads)
            for module in model.modules()
            if isinstance(module, READERS)
        ]
        self.hooks.append(model.register_forward_hook(partial(_after, fraction)))

    def remove(self) -> None:
        """Leave the network as it was."""
        for hook in self.hooks:
            hook.remove()


def _before(fraction: int, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return fix(inputs[0], fraction), *inputs[1:]


def _after(
    fraction: int, module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor
) -> torch.Tensor:
    return fix(output, fraction)
