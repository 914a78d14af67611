"""The demo's network: a small residual CNN, trained on scikit-learn's handwritten digits."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from nomul.images import PREPROCESSINGS
from nomul.output import Report
from quant.datasets import digits

__all__ = ["DigitsNet", "train", "trained"]

EPOCHS = 30
BATCH = 32
CHANNELS = 16


class DigitsNet(nn.Module):
    """Two convolutions with a pool between, a residual block, an average pool, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(1, 8)
        self.pool = nn.MaxPool2d(2)
        self.widen = convolution(8, CHANNELS)
        self.first = convolution(CHANNELS, CHANNELS)
        self.second = convolution(CHANNELS, CHANNELS)[:-1]
        self.join = nn.ReLU()
        self.average = nn.AvgPool2d(2)
        self.classifier = nn.Linear(CHANNELS * 4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.widen(self.pool(self.stem(images)))
        x = self.join(self.second(self.first(x)) + x)
        return self.classifier(self.average(x).flatten(1))


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution of unchanged size with batch norm and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(outputs),
            relu=nn.ReLU(),
        )
    )


def train(images: np.ndarray, labels: np.ndarray, progress: Report, seed: int = 0) -> DigitsNet:
    """Train the network with Adam on randomly shifted images.

    Parameters
    ----------
    images : float32 (count, 1, 8, 8)
    labels : int (count,)

    One thread: the network is too small for more, which would only wait for each other. The random
    state and the threads of torch are left as they were.
    """
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DigitsNet().train()
        x, y = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
        optimizer = torch.optim.Adam(network.parameters(), lr=4e-3, weight_decay=1e-4)
        steps = EPOCHS * (len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for epoch in range(EPOCHS):
            for batch in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
                loss = nn.functional.cross_entropy(network(shifted(x[batch])), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            progress(epoch + 1, EPOCHS, f"epoch {epoch + 1}")
    return network.eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """torch works on one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def shifted(images: torch.Tensor) -> torch.Tensor:
    """The images moved together by up to one pixel in each direction."""
    row, column = torch.randint(0, 3, (2,)).tolist()
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return padded[:, :, row : row + 8, column : column + 8]


def trained(progress: Report = lambda done, total, label: None) -> DigitsNet:
    """The network, trained on the digits' training images."""
    data = digits()
    return train(
        PREPROCESSINGS["digits"](1)(np.asarray(data.train_images)), data.train_labels, progress
    )
