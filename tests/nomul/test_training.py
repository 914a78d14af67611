"""What is seen of a training, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from nomul import training
from quant.training.loop import Epoch, Status


def shown(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    monkeypatch.setattr(training, "messages", console)
    with training.training_bar(4) as bar:
        bar.step(Status(1, 5, 10, 0.4321, 87.5))
        bar.epoch(Epoch(0, 0.5, 80.0, 87.5, 12.0, 0.1))
        bar.progress.refresh()
    return stream.getvalue()


def test_a_terminal_shows_a_bar_with_loss_accuracy_and_remaining_time(monkeypatch):
    text = shown(monkeypatch, terminal=True)
    assert "epoch 2 of 4" in text and "loss 0.432, test 87.50 %" in text
    assert "epoch 1: loss" not in text


def test_elsewhere_each_epoch_is_a_line(monkeypatch):
    text = shown(monkeypatch, terminal=False)
    assert "epoch 1: loss 0.500, training 80.00 %, test 87.50 %, 12 s" in text
    assert "epoch 2 of 4" not in text
