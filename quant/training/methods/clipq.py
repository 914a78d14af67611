"""CLIP-Q: pruning and quantization to a codebook a layer, in each step of the training.

F. Tung, G. Mori, "CLIP-Q: Deep Network Compression Learning by In-Parallel Pruning-Quantization",
CVPR 2018; for hardware W. Cheng, I.-C. Lin, Y.-Y. Shih, IEEE TCSI 69(10), 2022. The network
computes with the quantized weights, the gradient goes to the float weights behind them as it is,
so a weight that was clipped can come back.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from quant.codebooks import WORD_BITS, find_codebook
from quant.errors import NoMulError
from quant.training.calibrated import round_layers, set_layers
from quant.training.fixed_activations import FixedActivations, parse_activations
from quant.training.folding import fold_batch_norms
from quant.training.methods import Method, Options
from quant.training.partition import Partition, allowed_values
from quant.training.search import search_partitions
from quant.training.weights import keep_weights, parametrized

__all__ = ["SCALES", "ClipQ", "ClipQOptions", "CodebookWeight", "swap"]

SCALES = ("channel", "layer", "fixed")
STARTS = ("weights", "calibrated")
SEARCH_IMAGES = 128
LAYERS = (nn.Conv2d, nn.Linear)
CALIBRATED = {
    "intervals": "means",
    "clip_of": "all",
    "scale": "channel",
    "word": WORD_BITS,
    "terms": 0,
    "budget": 0.0,
}
"""What a calibrated start needs: its values are means of 8 bits, one of them 0 by size alone."""


@dataclass(frozen=True)
class ClipQOptions(Options):
    """Options of CLIP-Q.

    Parameters
    ----------
    bits, clip, clip_of, intervals :
        Of a layer's :class:`~quant.training.partition.Partition`.
    word, fraction, terms : int
        Format of a codebook's values (:func:`~quant.training.partition.allowed_values`): Q3.5 is 8
        and 5; powers of two that a value is the sum of, 0 for any value.
    scale : str
        What weights are divided by before: ``channel``, a power of two an output channel, so
        that their root mean square is near 1; ``layer``, one for all of them; ``fixed``, 1, as
        published.
    activations : str
        ``float``, or ``q<n>``: signed codes of 8 bits with n fraction bits, as the scheme's suffix.
    settle : float
        Last part of the training in which the weights stay and only biases learn.
    budget : float
        Mean bits of an index over all weights, for which ``bits`` and ``clip`` of each layer are
        searched; 0 has the given ones in all layers.
    trials : int
        Of the search.
    start : str
        ``weights``: at the float weights, as published. ``calibrated``: at the codebooks of
        :class:`~quant.schemes.codebook.FittedCodebook`; ``clip`` of a layer is then the share of
        zeros found there, where that is more than the given one.
    """

    bits: int = 2
    clip: float = 0.2
    clip_of: str = "sign"
    intervals: str = "linear"
    word: int = WORD_BITS
    fraction: int = 5
    terms: int = 0
    scale: str = "channel"
    activations: str = "float"
    settle: float = 0.1
    budget: float = 0.0
    trials: int = 100
    start: str = "weights"

    def __post_init__(self) -> None:
        self.partition()
        self.allowed()
        parse_activations(self.activations)
        for name, known in (("scale", SCALES), ("start", STARTS)):
            if getattr(self, name) not in known:
                raise NoMulError(
                    f"{name} is {getattr(self, name)!r}; choose one of: {', '.join(known)}"
                )
        if not 0 <= self.settle < 1:
            raise NoMulError(f"settle is {self.settle}; give 0 or more, below 1")
        if self.budget and self.budget < 1:
            raise NoMulError(f"budget is {self.budget}; give 1 bit or more, or 0 for no search")
        if self.trials < 1:
            raise NoMulError(f"trials is {self.trials}; give 1 or more")
        if self.start == "calibrated":
            for name, needed in CALIBRATED.items():
                if getattr(self, name) != needed:
                    raise NoMulError(
                        f"a calibrated start needs {name}={needed}, not {getattr(self, name)}; "
                        "set it, or the option start to weights"
                    )

    def partition(self) -> Partition:
        """Of layers that are not searched."""
        return Partition(self.bits, self.clip, self.clip_of, self.intervals)

    def allowed(self) -> torch.Tensor:
        """Values of codebooks."""
        return allowed_values(self.fraction, self.word, self.terms)


class StraightThrough(torch.autograd.Function):
    """Another tensor's values with the gradient of a weight."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


class CodebookWeight(nn.Module):
    """Parametrization of a weight: the layer computes with the values of its codebook.

    Parameters
    ----------
    weight : tensor (outputs, ...)
    partition : Partition
    allowed : float tensor
        What the codebook's values are rounded to.
    scale : str
        One of :data:`SCALES`.

    Attributes
    ----------
    settled : bool
        Whether weights stay as they are.
    exponent : buffer (outputs,)
        Weights are divided by ``2**exponent``; set once.
    negative : buffer ()
        Intervals for negative weights; set once, so that values do not jump while training.
    """

    exponent: torch.Tensor
    negative: torch.Tensor
    allowed: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, partition: Partition, allowed: torch.Tensor, scale: str
    ) -> None:
        super().__init__()
        self.settled = False
        self.partition = partition
        self.register_buffer("allowed", allowed, persistent=False)
        self.register_buffer("exponent", _exponents(weight.detach(), scale))
        negative = partition.negative_intervals(weight.detach() / self._scale(weight))
        self.register_buffer("negative", torch.tensor(negative))

    @classmethod
    def calibrated(
        cls, weight: torch.Tensor, partition: Partition, allowed: torch.Tensor, fraction: int
    ) -> "CodebookWeight":
        """Of a weight that already has the values of a codebook, and keeps them at first.

        Its share of zeros is clipped where that is more than the partition's.

        Errors: :class:`NoMulError` for a weight of more values than the partition has.
        """
        coded = find_codebook(weight.detach().numpy(), partition.bits)
        if coded is None:
            raise NoMulError(
                f"calibration left a layer more than {(1 << partition.bits) - 1} values, as some "
                "channels' sums are too fine; use more bits, or set the option start to weights"
            )
        zeros = replace(partition, clip=max(partition.clip, coded.zeros / weight.numel()))
        result = cls(weight, zeros, allowed, "channel")
        result.exponent.copy_(fraction - torch.from_numpy(coded.fraction))
        result.negative.fill_(int((coded.codebook < 0).sum()))
        return result

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """The parameter of a weight: itself."""
        return weight

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            scale = self._scale(weight)
            negative = int(self.negative)
            values = scale * self.partition.apply(weight / scale, negative, self.allowed)
        return values if self.settled else StraightThrough.apply(weight, values)

    def _scale(self, like: torch.Tensor) -> torch.Tensor:
        return torch.exp2(self.exponent).reshape(-1, *[1] * (like.ndim - 1))


def swap(model: nn.Module, options: ClipQOptions, partitions: list[Partition]) -> nn.Module:
    """Give every convolution and linear layer its codebook, in place; a partition a layer.

    Layers come in the order in which they were registered.
    """
    for layer, partition in zip(layers_of(model), partitions, strict=True):
        if options.start == "calibrated":
            weight = CodebookWeight.calibrated(
                layer.weight, partition, options.allowed(), options.fraction
            )
        else:
            weight = CodebookWeight(layer.weight, partition, options.allowed(), options.scale)
        parametrize.register_parametrization(layer, "weight", weight)
    return model


def layers_of(model: nn.Module) -> list[Any]:
    """Convolutions and linear layers, in the order in which they were registered."""
    return [module for module in model.modules() if isinstance(module, LAYERS)]


class ClipQ(Method):
    """A codebook a layer."""

    name = "clipq"
    options_type = ClipQOptions
    options: ClipQOptions
    fixed: FixedActivations | None = None

    def wrap(self, model: nn.Module, example: torch.Tensor) -> nn.Module:
        model = fold_batch_norms(model, example)
        if self.options.start == "calibrated":
            self._calibrate(model, example)
        swap(model, self.options, self._partitions(model, example[:SEARCH_IMAGES]))
        fraction = parse_activations(self.options.activations)
        if fraction is not None:
            self.fixed = FixedActivations(model, fraction)
        return model

    def _calibrate(self, model: nn.Module, example: torch.Tensor) -> None:
        """Set weights and biases to those that are rounded without training."""
        activations = self.options.activations
        suffix = "" if parse_activations(activations) is None else activations
        rounded = round_layers(model, example, f"codebook{self.options.bits}{suffix}")
        set_layers(model, layers_of(model), rounded)

    def _partitions(self, model: nn.Module, example: torch.Tensor) -> list[Partition]:
        """A partition a layer."""
        layers, partition = layers_of(model), self.options.partition()
        if not self.options.budget:
            return [partition] * len(layers)
        kept = [layer.weight.detach().clone() for layer in layers]
        with torch.inference_mode():
            expected = model(example).log_softmax(1)

        def distance(settings: list[tuple[int, float]]) -> float:
            """Mean Kullback-Leibler divergence of the classes from the float network's."""
            chosen = [replace(partition, bits=bits, clip=clip) for bits, clip in settings]
            with torch.no_grad():
                for layer, weight, own in zip(layers, kept, chosen):
                    coded = CodebookWeight(weight, own, self.options.allowed(), self.options.scale)
                    layer.weight.copy_(coded(weight))
                found = model(example).log_softmax(1)
            loss = nn.functional.kl_div(found, expected, reduction="batchmean", log_target=True)
            return loss.item()

        try:
            settings = search_partitions(
                distance,
                [weight.numel() for weight in kept],
                self.options.budget,
                (self.options.bits, self.options.clip),
                self.options.trials,
            )
        finally:
            with torch.no_grad():
                for layer, weight in zip(layers, kept):
                    layer.weight.copy_(weight)
        return [replace(partition, bits=bits, clip=clip) for bits, clip in settings]

    def begin_step(self, model: nn.Module, done: float) -> None:
        settled = done >= 1 - self.options.settle
        for _, weight in parametrized(model, CodebookWeight):
            weight.settled = settled

    def finish(self, model: nn.Module) -> nn.Module:
        if self.fixed is not None:
            self.fixed.remove()
        return keep_weights(model, CodebookWeight)


def _exponents(weight: torch.Tensor, scale: str) -> torch.Tensor:
    """Exponents (outputs,) of the powers of two nearest to the root mean squares; of zeros 0."""
    square = weight.flatten(1).double().square().mean(1)
    if scale == "layer":
        square = square.mean().expand(len(weight))
    if scale == "fixed":
        square = torch.ones_like(square)
    exponent = (0.5 * square.log2()).round().float()
    return torch.where(square > 0, exponent, 0.0)
