"""Batches of training images, shuffled and augmented by a seed, and of test images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from quant.datasets import Dataset
from quant.errors import NoMulError
from quant.networks import Preprocessing

__all__ = ["TrainingData", "augment"]

SHIFT = 4  # pixels, in each direction
TEST_BATCH = 250

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class TrainingData:
    """A data set as a network reads it.

    Parameters
    ----------
    train_images, test_images : uint8 (images, rows, columns, channels)
    train_labels, test_labels : int64 (images,)
    preprocess : Preprocessing
    mirror : bool
        Whether an image and its mirror image are of one class; digits are not.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    preprocess: Preprocessing
    mirror: bool

    @classmethod
    def of(cls, data: Dataset, preprocess: Preprocessing, mirror: bool) -> "TrainingData":
        """All images of a data set, decoded."""
        return cls(
            np.asarray(data.train_images),
            data.train_labels.astype(np.int64),
            data.test_images,
            data.test_labels.astype(np.int64),
            preprocess,
            mirror,
        )

    def part(self, train: int | None, test: int | None) -> "TrainingData":
        """So many training and test images, of mixed classes; None takes all."""
        chosen = []
        for labels, count in ((self.train_labels, train), (self.test_labels, test)):
            if count is not None and not 1 <= count <= len(labels):
                raise NoMulError(f"{count} images were asked for; there are {len(labels)}")
            chosen.append(np.sort(np.random.default_rng(0).permutation(len(labels))[:count]))
        return TrainingData(
            self.train_images[chosen[0]],
            self.train_labels[chosen[0]],
            self.test_images[chosen[1]],
            self.test_labels[chosen[1]],
            self.preprocess,
            self.mirror,
        )

    def batches(self, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Augmented images, float32 (size, channels, rows, columns), and labels of an epoch.

        Every image comes once, but those of an incomplete last batch. Order and augmentation
        depend on ``seed`` and ``epoch`` alone, so an epoch can be repeated on its own.
        """
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(self.train_labels))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            images = augment(self.train_images[chosen], random, self.mirror)
            yield self._tensors(images, self.train_labels[chosen])

    def steps(self, size: int) -> int:
        """Batches of an epoch.

        Errors: :class:`NoMulError` where not one batch can be filled.
        """
        count = len(self.train_labels) // size
        if not count:
            raise NoMulError(
                f"a batch of {size} needs more than the {len(self.train_labels)} training images; "
                "make the batch smaller"
            )
        return count

    def examples(self, count: int) -> torch.Tensor:
        """At most ``count`` training images of mixed classes, as they are."""
        chosen = np.random.default_rng(0).permutation(len(self.train_labels))[:count]
        return self._tensors(self.train_images[chosen], self.train_labels[chosen])[0]

    def test_batches(self) -> Iterator[Batch]:
        """Test images and labels in order, as they are."""
        for start in range(0, len(self.test_labels), TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            yield self._tensors(self.test_images[part], self.test_labels[part])

    def _tensors(self, images: np.ndarray, labels: np.ndarray) -> Batch:
        x = torch.from_numpy(self.preprocess(images))
        return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels)


def augment(images: np.ndarray, random: np.random.Generator, mirror: bool) -> np.ndarray:
    """Each image shifted by up to 4 pixels in each direction, zeros moving in, and half mirrored.

    uint8 (images, rows, columns, channels) in and out.
    """
    count, rows, columns, _ = images.shape
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    row, column = random.integers(0, 2 * SHIFT + 1, (2, count, 1, 1))
    across = np.arange(columns)
    if mirror:
        across = np.where(random.integers(0, 2, (count, 1, 1)), across[::-1], across)
    image = np.arange(count)[:, None, None]
    return padded[image, row + np.arange(rows)[:, None], column + across]
