"""The training loop: epochs, checkpoints, and resuming to the very same weights."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from quant.errors import NoMulError
from quant.training.checkpoint import load_tensors, save_tensors
from quant.training.data import TrainingData
from quant.training.methods import Method
from quant.training.recipe import Recipe

__all__ = ["Epoch", "Status", "accuracy", "train"]

TEMPERATURE = 4.0  # of distillation, as Hinton et al. 2015
CLIP = 5.0  # of the gradient's norm: far above the usual, it only stops what would diverge
EXAMPLES = 1024  # images that a method sees before training
SMOOTHING = 0.98  # of the loss that is shown


@dataclass(frozen=True)
class Epoch:
    """What is logged of an epoch: mean loss, accuracies in percent, seconds, learning rate.

    ``test_accuracy`` is None in epochs that do not measure it.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float | None
    seconds: float
    learning_rate: float


@dataclass(frozen=True)
class Status:
    """How far a training is: epochs and steps from 0, and what a progress bar shows.

    ``accuracy`` is that of the last epoch that measured it, in percent.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float | None


def train(
    model: nn.Module,
    data: TrainingData,
    method: Method,
    recipe: Recipe,
    *,
    teacher: nn.Module | None = None,
    test_every: int = 1,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Callable[[Status], None] = lambda status: None,
    log: Callable[[list[Epoch]], None] = lambda epochs: None,
) -> nn.Module:
    """Train a network by a method; returns it in plain layers, in evaluation mode.

    With the same arguments and number of threads the weights are the same bit by bit, also when
    the training was stopped and resumed.

    Parameters
    ----------
    model : module
        Plain; it may be changed.
    teacher : module, optional
        Needed where ``recipe.distillation`` is above 0.
    test_every : int
        Epochs between measurements of the test accuracy; the last epoch always measures it.
    checkpoint : path, optional
        File that is written after each epoch.
    resume : bool
        Go on from the checkpoint.
    progress, log : functions
        Called after each step, and after each epoch with all epochs so far.

    Errors: :class:`NoMulError` where the loss is no longer finite, where a teacher is missing, and
    for a checkpoint of another training.
    """
    if recipe.distillation and teacher is None:
        raise NoMulError("distillation needs a teacher; name its weights, or set distillation to 0")
    if teacher is not None:
        teacher = teacher.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = data.steps(recipe.batch)
    torch.manual_seed(recipe.seed)
    model = method.wrap(model.eval(), data.examples(EXAMPLES)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = sgd(model, recipe)
    epochs: list[Epoch] = []
    settings = {**asdict(recipe), "method": method.name, **asdict(method.options)}
    if resume and checkpoint is not None:
        epochs = _restore(checkpoint, model, optimizer, settings)

    for epoch in range(len(epochs), recipe.epochs):
        begin = time.monotonic()
        model.train()
        method.begin_epoch(model, epoch / recipe.epochs)
        total, right, shown = 0.0, 0, None
        for step, (x, y) in enumerate(data.batches(recipe.batch, recipe.seed, epoch)):
            done = epoch + step / steps
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(done)
            method.begin_step(model, done / recipe.epochs)
            outputs = _outputs(model, x, recipe)
            loss = _loss(outputs, x, y, recipe, teacher)
            penalty = method.penalty(model)
            if penalty is not None:
                loss = loss + penalty
            value = loss.item()
            if not abs(value) < float("inf"):
                raise NoMulError(
                    f"the loss is {value} in epoch {epoch}, step {step}; take a smaller "
                    f"learning rate than {recipe.learning_rate}"
                )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            total += value
            right += int((outputs.argmax(1) == y).sum())
            shown = value if shown is None else SMOOTHING * shown + (1 - SMOOTHING) * value
            progress(Status(epoch, step + 1, steps, shown, _last_accuracy(epochs)))
        measured = None
        if (epoch + 1) % test_every == 0 or epoch + 1 == recipe.epochs:
            measured = accuracy(model, data)
        epochs.append(
            Epoch(
                epoch,
                total / steps,
                100 * right / (steps * recipe.batch),
                measured,
                time.monotonic() - begin,
                recipe.rate(epoch),
            )
        )
        if checkpoint is not None:
            _save(checkpoint, model, optimizer, settings, epochs)
        log(epochs)
    return method.finish(model.eval()).to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]


def accuracy(model: nn.Module, data: TrainingData) -> float:
    """Percent of the test images whose class the network finds, in evaluation mode."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for x, y in data.test_batches():
            right += int((model(x).argmax(1) == y).sum())
    return 100 * right / len(data.test_labels)


def sgd(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """The optimizer; what has one dimension does not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        foreach=True,
    )


def _outputs(model: nn.Module, x: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Logits, float32, computed in the recipe's precision."""
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        return model(x).float()


def _loss(
    outputs: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    recipe: Recipe,
    teacher: nn.Module | None,
) -> torch.Tensor:
    loss = F.cross_entropy(outputs, y, label_smoothing=recipe.label_smoothing)
    if not recipe.distillation or teacher is None:
        return loss
    with torch.inference_mode():
        aim = F.log_softmax(_outputs(teacher, x, recipe) / TEMPERATURE, 1)
    found = F.log_softmax(outputs / TEMPERATURE, 1)
    distance = F.kl_div(found, aim.clone(), reduction="batchmean", log_target=True)
    return (1 - recipe.distillation) * loss + recipe.distillation * TEMPERATURE**2 * distance


def _last_accuracy(epochs: list[Epoch]) -> float | None:
    measured = [e.test_accuracy for e in epochs if e.test_accuracy is not None]
    return measured[-1] if measured else None


def _save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    epochs: list[Epoch],
) -> None:
    save_tensors(
        path,
        {
            "settings": settings,
            "epochs": [asdict(epoch) for epoch in epochs],
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
        },
    )


def _restore(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, settings: dict[str, Any]
) -> list[Epoch]:
    content = load_tensors(path, {"settings", "epochs", "model", "optimizer", "random"})
    other = [key for key, value in settings.items() if content["settings"].get(key) != value]
    if other:
        raise NoMulError(
            f"{path} is of a training with another {', '.join(other)}; resume with the same options"
        )
    try:
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise NoMulError(f"{path} is of another network; resume with the same options") from error
    torch.set_rng_state(content["random"])
    return [Epoch(**epoch) for epoch in content["epochs"]]
