"""Training at the widths of an allocation: fine-tuning of weights of mixed precision.

The network computes with weights rounded to the nearest of their channel's sizes, whose step is
that of calibrated rounding and stays; the gradient goes to the float weights behind as it is.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from quant.allocation.allocation import Allocation
from quant.allocation.tables import sizes
from quant.errors import NoMulError
from quant.training.calibrated import round_layers, set_layers
from quant.training.folding import fold_batch_norms
from quant.training.methods import Method, Options
from quant.training.weights import keep_weights, parametrized

__all__ = ["MixedOptions", "MixedTraining", "SizedWeight", "steps_of"]

LAYERS = (nn.Conv2d, nn.Linear)
FRACTIONS = range(-24, 32)


@dataclass(frozen=True)
class MixedOptions(Options):
    """Options of training at an allocation's widths.

    Parameters
    ----------
    widths : str
        File of the allocation: what ``nomul allocate --json`` wrote.
    settle : float
        Last part of the training in which the weights stay and only biases learn.
    """

    widths: str = ""
    settle: float = 0.1

    def __post_init__(self) -> None:
        if not self.widths:
            raise NoMulError(
                "mixed training needs widths; give --option widths=FILE, as written "
                "by nomul allocate --json"
            )
        if not 0 <= self.settle < 1:
            raise NoMulError(f"settle is {self.settle}; give 0 or more, below 1")


class SizedWeight(nn.Module):
    """Parametrization of a weight: the layer computes with the nearest sizes.

    Parameters
    ----------
    kind : str
        Of the sizes (:func:`~quant.allocation.tables.sizes`).
    bits : int array (outputs,)
    step : float32 tensor (outputs,)
        Unit of each output channel's sizes, a power of two.

    Attributes
    ----------
    settled : bool
        Whether weights stay as they are.
    """

    step: torch.Tensor

    def __init__(self, kind: str, bits: np.ndarray, step: torch.Tensor) -> None:
        super().__init__()
        self.settled = False
        self.register_buffer("step", step)
        self.tables = [
            (
                torch.from_numpy(bits == width),
                torch.from_numpy(sizes(kind, int(width)).copy()).float(),
            )
            for width in np.unique(bits)
        ]

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The parameter of a weight: itself."""
        return weight

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            step = self.step.reshape(-1, *[1] * (weight.ndim - 1))
            scaled = (weight / step).abs()
            size = torch.empty_like(scaled)
            for channels, table in self.tables:
                bounds = (table[1:] + table[:-1]) / 2
                size[channels] = table[torch.bucketize(scaled[channels].contiguous(), bounds)]
            values = size * step * weight.sign()
        return values if self.settled else weight + (values - weight).detach()


class MixedTraining(Method):
    """Weights of an allocation's widths."""

    name = "mixed"
    options_type = MixedOptions
    options: MixedOptions

    def wrap(self, model: nn.Module, example: torch.Tensor) -> nn.Module:
        # The network's own order of channels is trained; a machine's comes afterwards.
        found = replace(Allocation.load(self.options.widths), orders={})
        model = fold_batch_norms(model, example)
        layers = {name: m for name, m in model.named_modules() if isinstance(m, LAYERS)}
        # Shortcuts without weights are convolutions only once a network is imported.
        if any(
            len(layer.weight) != len(found.bits.get(name, ())) for name, layer in layers.items()
        ):
            raise NoMulError(
                f"{self.options.widths} holds widths of another network; allocate for this one"
            )
        set_layers(model, layers.values(), round_layers(model, example, found.scheme()))
        for name, layer in layers.items():
            step = steps_of(name, layer.weight.detach().numpy(), found.kind, found.bits[name])
            weight = SizedWeight(found.kind, found.bits[name], step)
            parametrize.register_parametrization(layer, "weight", weight)
        return model

    def begin_step(self, model: nn.Module, done: float) -> None:
        settled = done >= 1 - self.options.settle
        for _, weight in parametrized(model, SizedWeight):
            weight.settled = settled

    def finish(self, model: nn.Module) -> nn.Module:
        return keep_weights(model, SizedWeight)


def steps_of(name: str, weight: np.ndarray, kind: str, bits: np.ndarray) -> torch.Tensor:
    """The largest power of two of each output channel in whose units all weights are sizes.

    float32 (outputs,); 1 for a channel of zeros.

    Errors: :class:`NoMulError` for a channel that has no such step.
    """
    steps = np.ones(len(weight), np.float32)
    for channel, values in enumerate(np.abs(weight.reshape(len(weight), -1)).astype(np.float64)):
        if not values.any():
            continue
        table = sizes(kind, int(bits[channel]))
        for fraction in FRACTIONS:
            if np.isin(np.ldexp(values, fraction), table).all():
                steps[channel] = 2.0**-fraction
                break
        else:
            raise NoMulError(
                f"channel {channel} of {name} does not keep to {bits[channel]} bits when rounded; "
                "its weights are too large for its accumulator"
            )
    return torch.from_numpy(steps)
