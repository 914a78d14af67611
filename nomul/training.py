"""What is seen of a training: a bar with loss, accuracy and remaining time, or a line an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from nomul.output import messages
from quant.training.loop import Epoch, Status

__all__ = ["TrainingBar", "training_bar"]


class TrainingBar:
    """Shows each step on a terminal, elsewhere each epoch.

    Parameters
    ----------
    progress : rich progress display
    epochs : int
        Of the whole training.
    """

    def __init__(self, progress: Progress, epochs: int) -> None:
        self.progress = progress
        self.epochs = epochs
        self.task = progress.add_task("", total=None, figures="")

    def step(self, status: Status) -> None:
        """After a step."""
        accuracy = "" if status.accuracy is None else f", test {status.accuracy:.2f} %"
        self.progress.update(
            self.task,
            completed=status.epoch * status.steps + status.step,
            total=self.epochs * status.steps,
            description=f"epoch {status.epoch + 1} of {self.epochs}",
            figures=f"loss {status.loss:.3f}{accuracy}",
        )

    def epoch(self, last: Epoch) -> None:
        """After an epoch."""
        if not messages.is_terminal:
            messages.print(f"  {describe(last)}")


def describe(epoch: Epoch) -> str:
    """An epoch on one line.

    >>> describe(Epoch(0, 0.51234, 82.5, None, 61.4, 0.1))
    'epoch 1: loss 0.512, training 82.50 %, 61 s'
    """
    test = "" if epoch.test_accuracy is None else f", test {epoch.test_accuracy:.2f} %"
    return (
        f"epoch {epoch.epoch + 1}: loss {epoch.loss:.3f}, training {epoch.train_accuracy:.2f} %"
        f"{test}, {epoch.seconds:.0f} s"
    )


@contextmanager
def training_bar(epochs: int) -> Iterator[TrainingBar]:
    """The bar while a training runs."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not messages.is_terminal,
    ) as progress:
        yield TrainingBar(progress, epochs)
