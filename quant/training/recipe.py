"""How a training goes: its length, its optimizer and the learning rate of each step."""

import math
from dataclasses import dataclass

from quant.errors import NoMulError

__all__ = ["PRECISIONS", "SCHEDULES", "Recipe"]

PRECISIONS = ("float32", "bfloat16")
SCHEDULES = ("cosine", "step")
DROPS = (0.5, 0.75)
"""Parts of a training after which ``step`` divides the learning rate by ten."""


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum.

    Parameters
    ----------
    epochs : int
        Passes over the training images.
    batch : int
        Images a step; an incomplete last batch is left out.
    learning_rate : float
        The largest.
    schedule : str
        ``cosine`` falls to 0 along a cosine; ``step`` is divided by 10 after 1/2 and 3/4.
    warmup : float
        Epochs in which the learning rate first rises linearly.
    momentum, weight_decay : float
        Only weights decay: biases and batch norm do not.
    label_smoothing : float
    distillation : float
        Share of the loss that compares with a teacher's outputs; 0 needs no teacher.
    seed : int
        Of the order of images and of their augmentation.
    precision : str
        What convolutions and linear layers compute in while training. ``bfloat16`` has the range of
        float32 and 8 significant bits, so a weight with 8 or fewer is the same in both; weights and
        their updates stay float32, and tests are always float32.

    Errors: :class:`NoMulError` for values out of range.
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 0.02
    schedule: str = "cosine"
    warmup: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    distillation: float = 0.0
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise NoMulError(f"{name} is {getattr(self, name)}; give {least} or more")
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise NoMulError(f"the learning rate is {self.learning_rate}; give one above 0")
        if not 0 <= self.warmup < self.epochs:
            raise NoMulError(f"warmup is {self.warmup}; give 0 or more, below {self.epochs} epochs")
        for name in ("momentum", "label_smoothing", "distillation"):
            if not 0 <= getattr(self, name) <= 1:
                raise NoMulError(f"{name} is {getattr(self, name)}; give 0 to 1")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise NoMulError(
                    f"no {name} {getattr(self, name)}; choose one of {', '.join(known)}"
                )

    def rate(self, done: float) -> float:
        """The learning rate after ``done`` epochs, fractions included.

        >>> recipe = Recipe(epochs=4, learning_rate=0.1)
        >>> [round(recipe.rate(done), 4) for done in (0, 1, 2, 3, 4)]
        [0.1, 0.0854, 0.05, 0.0146, 0.0]
        >>> recipe = Recipe(epochs=4, learning_rate=0.1, schedule="step", warmup=1)
        >>> [round(recipe.rate(done), 4) for done in (0, 0.5, 1, 2, 3)]
        [0.0, 0.05, 0.1, 0.1, 0.01]
        """
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        part = (done - self.warmup) / (self.epochs - self.warmup)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * part))
        return self.learning_rate * 0.1 ** sum(part >= drop for drop in DROPS)
