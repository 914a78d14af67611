"""Weights computed of trained parameters: torch's parametrizations, found by their kind."""

from collections.abc import Iterator
from typing import Any, TypeVar

from torch import nn
from torch.nn.utils import parametrize

__all__ = ["keep_weights", "parametrized"]

Kind = TypeVar("Kind", bound=nn.Module)


def parametrized(model: nn.Module, kind: type[Kind]) -> Iterator[tuple[Any, Kind]]:
    """Layers whose weight is computed by a ``kind``, each with it; in the order of registration."""
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            weight = module.parametrizations.weight[0]  # type: ignore[union-attr, index]
            if isinstance(weight, kind):
                yield module, weight


def keep_weights(model: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """Make what each ``kind`` computes its layer's plain weight; evaluation mode, in place."""
    model.eval()
    for layer, _ in list(parametrized(model, kind)):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model
