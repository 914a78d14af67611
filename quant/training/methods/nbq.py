"""n-bit quantized training: weights become 0 and signed powers of two by and by.

J. Chen et al., "A Learning Framework for n-Bit Quantized Neural Networks Toward FPGAs", IEEE TNNLS
32(3), 2021: the network computes with ``(1 - α) * staircase(w) + α * w``, whose gradient in ``w``
is ``α`` times that of the weight, exactly; ``1 - α`` rises from 0.5 to 1.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize

from quant.errors import NoMulError
from quant.training.calibrated import round_layers, set_layers
from quant.training.folding import fold_batch_norms
from quant.training.methods import Method, Options
from quant.training.staircase import level_count, staircase
from quant.training.thresholds import Fit, find_rule
from quant.training.weights import keep_weights, parametrized

__all__ = ["NBitOptions", "NBitTraining", "StaircaseWeight", "swap"]

BATCH_NORMS = ("fold", "keep")
STARTS = ("calibrated", "weights")
GRADIENTS = ("exact", "through")
FLOAT = 32

Layer = nn.Conv2d | nn.Linear
LAYERS = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class NBitOptions(Options):
    """Options of n-bit training.

    Parameters
    ----------
    bits : int
        1 to 5.
    first_bits, last_bits : int
        Of the first and the last layer; 0 is as all others, 32 leaves it float.
    thresholds : str
        A rule of :mod:`quant.training.thresholds`.
    share : float
        ``1 - α`` at the beginning.
    settle : float
        Last part of the training in which ``α`` is 0 and only biases and batch norms learn.
    gradient : str
        ``exact``: that of the blend. ``through``: the network computes with the staircase alone,
        whose gradient is taken to be that of the identity (Bengio et al. 2013).
    start : str
        ``calibrated``: at the levels that quantization without training finds. ``weights``: at
        the float weights, as the paper.
    batch_norm : str
        ``fold``: taken into weights and biases before training, so that the trained weights are
        those of the integer network. ``keep``: as the paper, which leaves scales to batch norm;
        once it is folded, weights are powers of two times any factor.
    """

    bits: int = 3
    first_bits: int = 0
    last_bits: int = 0
    thresholds: str = "nearest"
    share: float = 0.5
    settle: float = 0.1
    gradient: str = "exact"
    start: str = "calibrated"
    batch_norm: str = "fold"

    def __post_init__(self) -> None:
        for name in ("bits", "first_bits", "last_bits"):
            value = getattr(self, name)
            if name == "bits" or value not in (0, FLOAT):
                level_count(value)
        for name in ("share", "settle"):
            if not 0 <= getattr(self, name) < 1:
                raise NoMulError(f"{name} is {getattr(self, name)}; give 0 or more, below 1")
        if not self.share:
            raise NoMulError("share is 0, and would never rise; give more, below 1")
        choices = {"batch_norm": BATCH_NORMS, "start": STARTS, "gradient": GRADIENTS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise NoMulError(
                    f"{name} is {getattr(self, name)!r}; choose one of: {', '.join(known)}"
                )
        find_rule(self.thresholds)
        if self.start == "calibrated" and (
            self.thresholds != "nearest" or self.batch_norm != "fold"
        ):
            raise NoMulError(
                "a calibrated start needs the thresholds nearest and a folded batch norm; "
                "set the option start to weights"
            )


class StaircaseWeight(nn.Module):
    """Parametrization of a weight: the layer computes with a blend of it and its staircase.

    In evaluation mode the layer computes with the staircase alone.

    Parameters
    ----------
    weight : tensor (outputs, ...)
    bits : int
    thresholds : str
        Name of the rule.
    gradient : str
        As of :class:`NBitOptions`.

    Attributes
    ----------
    alpha : float
        Share of the weight itself.
    exponent : buffer (outputs,)
        The largest level is ``2**exponent``; set once.
    limits : buffer (2, levels, outputs); empty with 1 bit
        Thresholds in units of the largest level.
    """

    exponent: torch.Tensor
    limits: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, bits: int, thresholds: str, gradient: str = "exact"
    ) -> None:
        super().__init__()
        self.bits = bits
        self.through = gradient == "through"
        self.rule = find_rule(thresholds)
        self.alpha = 0.0
        fit = self.rule(weight.detach().flatten(1), bits, None)
        self.register_buffer("exponent", fit.exponent)
        self.register_buffer("limits", _limits(fit))

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The parameter of a weight: itself."""
        return weight

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = self._scale(weight)
        stairs = scale * staircase(weight / scale, self.limits if self.bits > 1 else None)
        if not self.training:
            return stairs
        if self.through:
            return stairs + (weight - weight.detach())
        return (1 - self.alpha) * stairs + self.alpha * weight

    def refit(self, weight: torch.Tensor) -> None:
        """Thresholds for weights that have changed; the scale stays."""
        fit = self.rule(weight.detach().flatten(1), self.bits, self.exponent)
        self.limits.copy_(_limits(fit))

    def _scale(self, like: torch.Tensor) -> torch.Tensor:
        return torch.exp2(self.exponent).reshape(-1, *[1] * (like.ndim - 1))


def swap(model: nn.Module, options: NBitOptions) -> nn.Module:
    """Give every convolution and linear layer of a network a staircase weight, in place."""
    for layer, bits in layer_bits(model, options):
        weight = StaircaseWeight(layer.weight, bits, options.thresholds, options.gradient)
        parametrize.register_parametrization(layer, "weight", weight)
    return model


def layer_bits(model: nn.Module, options: NBitOptions) -> list[tuple[Layer, int]]:
    """Layers whose weights are quantized, each with its bits.

    First and last are the layers that were registered first and last.
    """
    layers = [module for module in model.modules() if isinstance(module, LAYERS)]
    bits = [options.bits] * len(layers)
    if layers and options.first_bits:
        bits[0] = options.first_bits
    if layers and options.last_bits:
        bits[-1] = options.last_bits
    return [(layer, own) for layer, own in zip(layers, bits, strict=True) if own != FLOAT]


class NBitTraining(Method):
    """Weights of n bits."""

    name = "nbq"
    options_type = NBitOptions
    options: NBitOptions

    def wrap(self, model: nn.Module, example: torch.Tensor) -> nn.Module:
        if self.options.batch_norm == "fold":
            model = fold_batch_norms(model, example)
        if self.options.start == "calibrated":
            self._calibrate(model, example)
        return swap(model, self.options)

    def _calibrate(self, model: nn.Module, example: torch.Tensor) -> None:
        """Set weights and biases to those that are rounded without training."""
        chosen = layer_bits(model, self.options)
        widths = {bits for _, bits in chosen}
        rounded = {bits: round_layers(model, example, f"pow{bits}") for bits in widths}
        for bits, found in rounded.items():
            set_layers(model, [layer for layer, own in chosen if own == bits], found)

    def begin_epoch(self, model: nn.Module, done: float) -> None:
        if done <= 1 - self.options.settle:
            for layer, weight in parametrized(model, StaircaseWeight):
                weight.refit(layer.parametrizations.weight.original)

    def begin_step(self, model: nn.Module, done: float) -> None:
        alpha = self.alpha(done)
        for _, weight in parametrized(model, StaircaseWeight):
            weight.alpha = alpha

    def alpha(self, done: float) -> float:
        """``1 - share**(1 - progress)``, the progress being 1 where settling begins."""
        progress = min(done / (1 - self.options.settle), 1.0)
        return 1 - self.options.share ** (1 - progress)

    def finish(self, model: nn.Module) -> nn.Module:
        return keep_weights(model, StaircaseWeight)


def _limits(fit: Fit) -> torch.Tensor:
    if fit.thresholds is None:
        return torch.zeros(2, 0, len(fit.exponent))
    return fit.thresholds.clone()
